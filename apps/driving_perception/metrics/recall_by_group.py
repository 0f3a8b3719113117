"""What is found at the frozen threshold, by how large, how near, how hidden it is, and by the conditions."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from apps.driving_perception import boxes as box
from apps.driving_perception import frames
from apps.driving_perception.metrics import matching
from shared.evaluation import arrays, intervals, resampling

HEIGHTS = (0.0, 25.0, 50.0, 100.0, 200.0, np.inf)
DISTANCES = (0.0, 10.0, 20.0, 30.0, 50.0, np.inf)
TRUNCATIONS = (-0.01, 0.01, 0.3, 1.01)


def breakdown(
    collection: frames.Frames, pairs: matching.Pairing, units: npt.NDArray[np.int64], *, resamples: int, seed: int
) -> list[dict[str, Any]]:
    """Return rows of ``by``, ``group``, ``n`` and ``recall``, an interval resampled by unit where it can be."""
    rows = []
    for by, group, chosen in groups(collection):
        wanted = chosen & pairs.wanted
        if wanted.any():
            recall = _recall(collection, pairs, wanted, units, resamples=resamples, seed=seed)
            rows.append({"by": by, "group": group, "n": int(wanted.sum()), "recall": recall})
    return rows


def groups(collection: frames.Frames) -> Iterator[tuple[str, str, npt.NDArray[np.bool_]]]:
    """Yield what boxes are grouped by, the group's name, and (m,) which boxes are in it."""
    boxes = collection.boxes
    for label, name in enumerate(collection.class_names):
        yield "class", name, boxes.label == label
    height = boxes.xyxy[:, 3] - boxes.xyxy[:, 1]
    yield from _bands("box height", height, HEIGHTS, "px")
    yield from _bands("distance", boxes.distance, DISTANCES, "m")
    for level, name in enumerate(box.OCCLUSIONS):
        yield "occlusion", name, boxes.occlusion == level
    for low, high, name in zip(
        TRUNCATIONS, TRUNCATIONS[1:], ("whole", "cut by up to 30 %", "cut by more"), strict=False
    ):
        yield "truncation", name, (boxes.truncation > low) & (boxes.truncation <= high)
    for by, values in (("time of day", collection.time_of_day), ("weather", collection.weather)):
        for value in sorted(set(values.tolist()) - {""}):
            yield by, value, values[boxes.image] == value
    if len(collection.source_names) > 1:
        for source, name in enumerate(collection.source_names):
            yield "source", name, collection.sources[boxes.image] == source


def _bands(
    by: str, values: npt.NDArray[np.float32], edges: tuple[float, ...], unit: str
) -> Iterator[tuple[str, str, npt.NDArray[np.bool_]]]:
    for low, high in itertools.pairwise(edges):
        name = f"{low:g} to {high:g} {unit}" if np.isfinite(high) else f"from {low:g} {unit}"
        yield by, name, (values >= low) & (values < high)


def _recall(
    collection: frames.Frames,
    pairs: matching.Pairing,
    wanted: npt.NDArray[np.bool_],
    units: npt.NDArray[np.int64],
    *,
    resamples: int,
    seed: int,
) -> intervals.Interval:
    hit = pairs.found_by[wanted] >= 0
    code = arrays.units_of(units[collection.boxes.image[wanted]], rows=int(wanted.sum()))
    if code.count < 5:
        return intervals.wilson(float(hit.sum()), float(len(hit)))
    totals = np.bincount(code.code, minlength=code.count).astype(np.float64)
    hits = np.bincount(code.code, weights=hit, minlength=code.count)

    def recall(drawn: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray((drawn @ hits) / np.maximum(drawn @ totals, 1.0), np.float64)

    found = resampling.Resampled.of({"recall": recall}, code, resamples=resamples, seed=seed, widened=True)
    return found.intervals()["recall"]
