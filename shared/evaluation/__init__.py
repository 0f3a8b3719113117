"""Metrics, intervals, calibration, thresholds, conformal sets and drift, all in NumPy."""
