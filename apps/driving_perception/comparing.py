"""How runs of this app are compared: labelled and found boxes in ``predictions.parquet``, and the metrics of both.

An evaluation keeps every number that the metrics read, so that a comparison gives the figures of its report again.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from apps.driving_perception import boxes as box
from apps.driving_perception import detector_metrics, prediction_tables
from shared import errors, files
from shared.runs import comparing


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Labels:
    """The part of ``frames.Frames`` that metrics read.

    Attributes:
        boxes: The labelled boxes.
        class_names: What they are called.
        known_classes: (n, k) bool, as there.
    """

    boxes: box.Boxes
    class_names: tuple[str, ...]
    known_classes: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        """Count the images."""
        return len(self.known_classes)


def compare(first: comparing.Tested, second: comparing.Tested, clusters: comparing.Ints) -> comparing.Compared:
    """Compare two detectors on the same images, resampled by sequence.

    Raises:
        errors.InputError: The runs have other classes.
    """
    rules = [files.read_json(each.run.decision) for each in (first, second)]
    names = [tuple(rule["class_names"]) for rule in rules]
    if names[0] != names[1]:
        raise errors.InputError(
            f"compare: expected the classes of {first.name} ({', '.join(names[0])}) in {second.name}, too. Received: "
            f"{', '.join(names[1])}"
        )
    found = [
        detector_metrics.evaluate(
            _labels(each.table, names[0]),
            clusters,
            _detections(each.table),
            rule["threshold"],
            resamples=first.resamples,
            seed=0,
        ).resampled
        for each, rule in zip((first, second), rules, strict=True)
    ]
    return comparing.paired(*found)


def _labels(table: pd.DataFrame, class_names: tuple[str, ...]) -> Labels:
    known = np.stack(table["known_classes"].to_list()).astype(bool)
    boxes = box.Boxes.build(**_joined(table, "labelled", prediction_tables.LABELLED))
    return Labels(boxes=boxes, class_names=class_names, known_classes=known)


def _detections(table: pd.DataFrame) -> box.Detections:
    return box.Detections.build(**_joined(table, "found", prediction_tables.FOUND))


def _joined(table: pd.DataFrame, prefix: str, names: Sequence[str]) -> Mapping[str, Any]:
    cells = {name: table[f"{prefix}_{name}"].to_list() for name in names}
    image = np.repeat(np.arange(len(table)), [len(each) for each in cells["label"]])
    return {"image": image, **{name: np.concatenate(each) if each else [] for name, each in cells.items()}}


COMPARISON = comparing.App(
    keys=("image",),
    cluster="unit",
    truth=lambda _columns: [*(f"labelled_{name}" for name in prediction_tables.LABELLED), "known_classes"],
    compare=compare,
)
