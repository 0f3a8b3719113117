"""How far probabilities are from what comes true: calibration error, reliability diagram, slope and intercept."""
