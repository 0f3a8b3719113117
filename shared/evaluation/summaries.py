"""Every metric of a classifier with its interval, differences, the confusion matrix, and one row per class."""
