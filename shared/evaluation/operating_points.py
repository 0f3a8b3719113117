"""What a threshold does: operating points, predictive values, and how stable the choice of the threshold is."""
