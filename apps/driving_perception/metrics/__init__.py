"""Metrics of detection, in NumPy: what the report shows, and what the threshold is chosen by."""
