"""Whether a score says how often such a box is right.

D-ECE: the expected calibration error over detections (Kueppers et al. 2020, "Multivariate Confidence Calibration for
Object Detection"), here over the score alone.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.driving_perception import detections
from apps.driving_perception.scores import pairing
from shared.evaluation import calibration

BINS = 10


def bins(found: detections.Detections, pairs: pairing.Pairing, *, least: float) -> list[dict[str, float]]:
    """Return ``confidence``, ``accuracy`` and ``n`` of bins of equal width, of what scores at least ``least``."""
    judged = (pairs.outcome != pairing.IGNORED) & (found.score >= least)
    score, right = found.score[judged].astype(np.float64), pairs.outcome[judged] == pairing.RIGHT
    if not judged.any():
        return []
    rows = calibration.reliability(right.astype(np.int64), score, bins=BINS)
    return [{"confidence": row["mean_score"], "accuracy": row["observed"], "n": row["n"]} for row in rows]


def error(rows: list[dict[str, Any]]) -> float:
    """Return the mean distance of confidence and accuracy, weighted by the bins' sizes; 0 for no detection."""
    counts: NDArray[np.float64] = np.array([row["n"] for row in rows], np.float64)
    gaps = np.array([abs(row["confidence"] - row["accuracy"]) for row in rows], np.float64)
    return float(counts @ gaps / counts.sum()) if len(rows) else 0.0
