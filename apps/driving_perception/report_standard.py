"""The figures that users of detectors expect: class confusion, precision, recall and F1 by score, reliability.

No TensorFlow here.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from apps.driving_perception import boxes as box
from apps.driving_perception import decision, evaluate, frames, matching
from shared.report import blocks, curves, figures

BACKGROUND = "background"
_POINTS = 50


def confusion(collection: frames.Frames, found: box.Detections) -> npt.NDArray[np.int64]:
    """Return counts (classes + 1, classes + 1): true class by row, predicted by column, the last is background.

    Boxes are paired at an overlap of 0.5 whatever their class. What is missed is predicted as background, a false
    alarm is background by truth; the corner of the two counts nothing.

    Args:
        collection: The images with their labelled boxes.
        found: The boxes from the threshold on.
    """
    truth, background = collection.boxes, len(collection.class_names)
    pairs = matching.pair(truth, found, known_classes=collection.known_classes, by_class=False)
    counts = np.zeros((background + 1, background + 1), np.int64)
    counted = pairs.outcome != matching.IGNORED
    right = counted & (pairs.outcome == matching.RIGHT)
    np.add.at(counts, (truth.label[pairs.object_of[right]], found.label[right]), 1)
    np.add.at(counts[background], found.label[counted & ~right], 1)
    missed = pairs.wanted & (pairs.found_by == matching.NONE)
    np.add.at(counts[:, background], truth.label[missed], 1)
    return counts


def confusion_figure(results: evaluate.Results) -> blocks.Figure:
    """Draw which class is taken for which, and what is missed or made up."""
    names = [*results.rows.frames.class_names, BACKGROUND]
    return blocks.Figure(
        svg=figures.confusion(confusion(results.rows.frames, results.predicted), names),
        caption="True class by predicted class from the threshold on, at an overlap of 0.5. Column background: missed; "
        "row background: false alarms, in shares of all false alarms.",
        alt=f"Confusion matrix of {', '.join(names)}",
    )


def by_score(results: evaluate.Results) -> blocks.Figure:
    """Draw precision, recall and F1 of every threshold."""
    swept = decision.sweep(results.model.matched)
    thresholds = np.linspace(0.0, 1.0, _POINTS)
    # Scores fall: so many of them are at or above a threshold.
    above = np.searchsorted(-swept.score, -thresholds, side="right") - 1
    lines = {
        name: [float(values[at]) if at >= 0 else None for at in above]
        for name, values in (("Precision", swept.precision), ("Recall", swept.recall), ("F1", swept.f1))
    }
    look = curves.Look(
        x_label="Score from which a box counts",
        y_label="Share",
        y_limits=(0.0, 1.02),
        marks={"Threshold in use": results.predictions.rule.threshold},
    )
    return blocks.Figure(
        svg=curves.lines(thresholds.tolist(), lines, look=look),
        caption="Precision, recall and F1 at every threshold, all classes together, at an overlap of 0.5.",
        alt="Precision, recall and F1 against the score",
    )


def reliability(rows: Sequence[Mapping[str, float]]) -> blocks.Figure:
    """Draw the share of correct boxes by score, beside the ideal; ``rows`` are those of ``calibration_bins``."""
    score = [row["confidence"] for row in rows]
    look = curves.Look(x_label="Mean score of the bin", y_label="Share correct", y_limits=(0.0, 1.02))
    return blocks.Figure(
        svg=curves.lines(score, {"Boxes": [row["accuracy"] for row in rows], "Ideal": score}, look=look),
        caption="On the ideal line a box is correct as often as its score says; below it, less often.",
        alt="Reliability diagram of the boxes' scores",
    )
