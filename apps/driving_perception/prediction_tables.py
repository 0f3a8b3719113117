"""Predictions as tables: a row for each picture with its boxes as JSON; of these a row per box, and COCO's results."""

import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from apps.driving_perception import boxes as box
from apps.driving_perception import coco_metrics, evaluate, lane, matching
from shared import files

CORNERS_DIGITS, SCORE_DIGITS = 1, 4
PICTURE = ("file", "frame", "seconds", "clip")
# What an evaluation keeps of each labelled box, and of each that was found: what `compare` reads.
LABELLED = ("xyxy", "label", "kind", "occlusion", "truncation")
FOUND = ("xyxy", "label", "score")
BOX = ("class", "score", "left", "top", "right", "bottom", "track", "seconds_to_collision")


def rows(
    chunk: pd.DataFrame, outputs: Mapping[str, NDArray[Any]], sizes: NDArray[np.int64], class_names: Sequence[str]
) -> pd.DataFrame:
    """Return one output row per picture.

    Args:
        chunk: ``file``, ``frame``, ``seconds`` and ``clip`` of each picture.
        outputs: The model's, as from ``predictions.decide``.
        sizes: (n, 2) width and height of each picture, 0 for what is none.
        class_names: What the classes are called.

    Returns:
        The chunk's columns, ``width``, ``height``, ``decision``, its ``reason`` ("" for none), ``score`` of the surest
        box (0 for none), ``n`` boxes, ``n_<class>``, and ``boxes``: JSON of class, score and corners in pixels.
    """
    present = np.arange(outputs["scores"].shape[1]) < outputs["count"][:, np.newaxis]
    counts = {
        f"n_{name}": ((outputs["classes"] == label) & present).sum(axis=1) for label, name in enumerate(class_names)
    }
    boxes = [
        _as_json(outputs["boxes"][row, : int(count)], outputs["classes"][row], outputs["scores"][row], class_names)
        for row, count in enumerate(outputs["count"])
    ]
    decision = outputs["decision"].astype(str)
    return pd.DataFrame(
        {
            **{name: chunk[name].to_numpy() for name in PICTURE},
            "width": sizes[:, 0],
            "height": sizes[:, 1],
            "decision": decision,
            "reason": np.where(decision == lane.AHEAD, lane.NEAR, ""),
            "score": outputs["scores"].max(axis=1).astype(np.float64).round(SCORE_DIGITS),
            "n": outputs["count"].astype(np.int64),
            **counts,
            "boxes": boxes,
        }
    )


def of_evaluation(results: evaluate.Results) -> pd.DataFrame:
    """Return one row per image of an evaluation.

    Columns: image, unit, sequence, objects, answered, right, missed, false_alarms, decision, and ``boxes``, JSON of
    class, score and corners in pixels from the threshold on; then a list per cell of all labelled boxes (``labelled_``
    and the names of ``LABELLED``), of all found ones however low their score (``found_``, ``FOUND``), and of
    ``known_classes``.
    """
    part, predicted, pairs = results.rows.frames, results.predicted, results.pairs
    missed = pairs.wanted & (pairs.found_by == matching.NONE)
    counted = {
        "objects": part.boxes.image[pairs.wanted],
        "answered": predicted.image,
        "right": predicted.image[pairs.outcome == matching.RIGHT],
        "missed": part.boxes.image[missed],
        "false_alarms": predicted.image[pairs.outcome == matching.WRONG],
    }
    table = pd.DataFrame(
        {
            "image": part.images.names,
            "unit": results.rows.units,
            "sequence": part.sequences,
            **{name: np.bincount(images, minlength=len(part)) for name, images in counted.items()},
        }
    )
    every = range(len(part))
    table["decision"] = [_decision(predicted, image, part.images.sizes[image], results.region) for image in every]
    table["boxes"] = [_boxes_of(predicted, image, part.class_names) for image in every]
    return table.assign(**cells(part, results.predictions.found))


def cells(part: coco_metrics.Labelled, found: box.Detections) -> dict[str, Any]:
    """Return for each image its labelled boxes and all that were found, however low their score: a list per cell."""
    return {
        **_cells("labelled", part.boxes, LABELLED, images=len(part)),
        **_cells("found", found, FOUND, images=len(part)),
        "known_classes": list(part.known_classes),
    }


def _cells(prefix: str, boxes: box.Boxes | box.Detections, names: Sequence[str], *, images: int) -> dict[str, Any]:
    edges = np.searchsorted(boxes.image, np.arange(1, images))
    return {f"{prefix}_{name}": [each.ravel() for each in np.split(getattr(boxes, name), edges)] for name in names}


def _decision(found: box.Detections, image: int, size: Any, region: lane.Region) -> str:
    xyxy = found.xyxy[found.image == image]
    return lane.AHEAD if region.decide(xyxy, width=float(size[0]), height=float(size[1])).any() else lane.CLEAR


def _boxes_of(found: box.Detections, image: int, class_names: Sequence[str]) -> str:
    rows = np.flatnonzero(found.image == image)
    return _as_json(found.xyxy[rows], found.label[rows], found.score[rows], class_names)


def _as_json(xyxy: NDArray[Any], label: NDArray[Any], score: NDArray[Any], class_names: Sequence[str]) -> str:
    return json.dumps(
        [
            {
                "class": class_names[int(label[row])],
                "score": round(float(score[row]), SCORE_DIGITS),
                "xyxy": [round(float(value), CORNERS_DIGITS) for value in corners],
            }
            for row, corners in enumerate(xyxy)
        ]
    )


def per_box(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per box of ``rows`` or of ``tracker.Follower``: the columns ``PICTURE`` and ``BOX``.

    ``track`` (Int64) and ``seconds_to_collision`` are empty where there is none. A CSV file of it, beside the images,
    is a table of boxes that ``readers.table`` reads.
    """
    listed = [
        (*(picture[name] for name in PICTURE), each["class"], each["score"], *each["xyxy"],
         each.get("track"), each.get("seconds_to_collision"))
        for picture, boxes in _pictures(table) for each in boxes
    ]  # fmt: skip
    found = pd.DataFrame(listed, columns=[*PICTURE, *BOX])
    return found.astype({"track": "Int64", "seconds_to_collision": np.float64})


def to_coco(table: pd.DataFrame, class_names: Sequence[str]) -> dict[str, Any]:
    """Return COCO's form of detections, with the lists that say what images and categories its numbers mean.

    ``annotations`` is a list of COCO results: ``image_id``, ``category_id``, ``bbox`` (left, top, width, height) and
    ``score``. They have ``id``, ``area`` and ``iscrowd`` besides, so that the whole loads as a COCO data set too.

    Args:
        table: As from ``rows`` or ``tracker.Follower``.
        class_names: Category 1, 2, ...
    """
    number = {name: place for place, name in enumerate(class_names, start=1)}
    images: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for image, (picture, boxes) in enumerate(_pictures(table), start=1):
        sides = {name: picture[name] for name in ("frame", "width", "height")}
        images.append({"id": image, "file_name": picture["file"], **sides})
        for each in boxes:
            found.append({"id": len(found) + 1, "image_id": image, **_annotation(each, number)})
    categories = [{"id": place, "name": name} for name, place in number.items()]
    return {"images": images, "categories": categories, "annotations": found}


def _annotation(each: Mapping[str, Any], number: Mapping[str, int]) -> dict[str, Any]:
    left, top, right, bottom = each["xyxy"]
    width, height = (round(side, CORNERS_DIGITS) for side in (right - left, bottom - top))
    return {
        "category_id": number[each["class"]],
        "bbox": [left, top, width, height],
        "area": round(width * height, 2 * CORNERS_DIGITS),
        "iscrowd": 0,
        "score": each["score"],
        **{name: each[name] for name in ("track",) if name in each},
    }


def write_coco(path: pathlib.Path, tables: Sequence[pd.DataFrame], class_names: Sequence[str]) -> None:
    """Write ``to_coco`` of several tables, one after another, as one file."""
    files.write_json(path, to_coco(pd.concat(list(tables), ignore_index=True), class_names))


def _pictures(table: pd.DataFrame) -> Iterator[tuple[dict[Any, Any], list[dict[str, Any]]]]:
    """Yield each row and its boxes."""
    for row in table.to_dict("records"):
        yield row, json.loads(str(row["boxes"]))
