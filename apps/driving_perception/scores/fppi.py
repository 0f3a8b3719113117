"""Misses against false alarms per image, as pedestrian detection is judged.

Dollar et al. 2012, "Pedestrian Detection: An Evaluation of the State of the Art": the log-average miss rate is the
geometric mean of the miss rate at nine rates of false alarms, evenly spaced in logarithm from 0.01 to 1 per image.
"""

import numpy as np

from apps.driving_perception import operating

POINTS = np.logspace(-2, 0, 9)
_LEAST = 1e-10


def miss_rate_at(swept: operating.Sweep, false_alarms: float) -> float:
    """Return the lowest share of objects missed with at most so many false alarms per image; 1 where none is found."""
    row = int(np.searchsorted(swept.false_alarms, false_alarms, side="right")) - 1
    return 1.0 - float(swept.recall[row]) if row >= 0 else 1.0


def log_average_miss_rate(swept: operating.Sweep) -> float:
    """Return the geometric mean of the miss rate at ``POINTS``; NaN where there is no object."""
    if swept.objects == 0:
        return float("nan")
    rates = np.maximum([miss_rate_at(swept, point) for point in POINTS], _LEAST)
    return float(np.exp(np.mean(np.log(rates))))
