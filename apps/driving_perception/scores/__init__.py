"""Measures of detection, in NumPy: what the report says, and what the threshold is chosen by."""
