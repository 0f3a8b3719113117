"""Answers as tables: a row for each picture with its boxes as JSON, and COCO's results made of them."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from apps.driving_perception import lane, tracking
from shared import files

CORNERS_DIGITS, SCORE_DIGITS = 1, 4


def rows(
    chunk: pd.DataFrame, said: Mapping[str, NDArray[Any]], sizes: NDArray[np.int64], class_names: Sequence[str]
) -> pd.DataFrame:
    """Return one output row per picture.

    Args:
        chunk: ``file``, ``frame``, ``seconds`` and ``clip`` of each picture.
        said: What the model answered, as from ``answers.decide``.
        sizes: (n, 2) width and height of each picture, 0 for what is none.
        class_names: What the classes are called.

    Returns:
        The chunk's columns, ``width``, ``height``, ``decision``, ``score`` of the surest box (0 for none), ``n`` boxes,
        ``n_<class>``, and ``boxes``: JSON of class, score and corners in pixels.
    """
    present = np.arange(said["scores"].shape[1]) < said["count"][:, np.newaxis]
    counts = {f"n_{name}": ((said["classes"] == label) & present).sum(axis=1) for label, name in enumerate(class_names)}
    boxes = [
        _as_json(said["boxes"][row, : int(count)], said["classes"][row], said["scores"][row], class_names)
        for row, count in enumerate(said["count"])
    ]
    return pd.DataFrame(
        {
            **{name: chunk[name] for name in ("file", "frame", "seconds", "clip")},
            "width": sizes[:, 0],
            "height": sizes[:, 1],
            "decision": said["decision"].astype(str),
            "score": said["scores"].max(axis=1).astype(np.float64),
            "n": said["count"].astype(np.int64),
            **counts,
            "boxes": boxes,
        }
    )


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


class Follower:
    """Adds tracks and times to collision to the rows of clips; feed it the rows in their order."""

    def __init__(self, class_names: Sequence[str], region: lane.Region) -> None:
        """Begin without tracks.

        Args:
            class_names: What the boxes' classes are called.
            region: The own way.
        """
        self._class_names = list(class_names)
        self._region = region
        self._clip = ""
        self._tracker = tracking.Tracker()

    def follow(self, chunk: pd.DataFrame) -> pd.DataFrame:
        """Return the rows with ``track`` and ``seconds_to_collision`` inside ``boxes``, and ``decision`` changed.

        In a clip an obstacle in the own way is ahead, however small, when it will be reached within
        ``lane.SECONDS_TO_COLLISION``. Pictures that are in no clip stay as they are.
        """
        found = chunk.copy()
        for row in chunk.index[chunk["clip"] != ""]:
            found.loc[row, ["boxes", "decision"]] = self._one(chunk.loc[row])
        return found

    def _one(self, row: "pd.Series[Any]") -> tuple[str, str]:
        if row["clip"] != self._clip:
            self._clip, self._tracker = str(row["clip"]), tracking.Tracker()
        boxes = json.loads(row["boxes"])
        xyxy = np.array([each["xyxy"] for each in boxes], np.float64).reshape(-1, 4)
        label = np.array([self._class_names.index(each["class"]) for each in boxes], np.int64)
        score = np.array([each["score"] for each in boxes], np.float64)
        ids = self._tracker.update(xyxy, label, score, seconds=float(row["seconds"]))
        left = self._tracker.seconds_to_collision(ids)
        in_way = self._region.holds(xyxy, width=float(row["width"] or 1), height=float(row["height"] or 1))
        for each, number, seconds in zip(boxes, ids.tolist(), left.tolist(), strict=True):
            each["track"] = number
            each["seconds_to_collision"] = round(seconds, 2) if np.isfinite(seconds) else None
        closing = bool((in_way & (left < lane.SECONDS_TO_COLLISION)).any())
        return json.dumps(boxes), lane.AHEAD if closing else str(row["decision"])


def write_coco(path: pathlib.Path, tables: Sequence[pd.DataFrame], class_names: Sequence[str]) -> None:
    """Write COCO's form of detections, with the lists that say what images and categories its numbers mean."""
    table = pd.concat(list(tables), ignore_index=True)
    number = {name: place for place, name in enumerate(class_names, start=1)}
    images, found = [], []
    for image, row in enumerate(table.to_dict("records"), start=1):
        images.append(
            {
                "id": image,
                "file_name": row["file"],
                "frame": row["frame"],
                "width": row["width"],
                "height": row["height"],
            }
        )
        for each in json.loads(str(row["boxes"])):
            left, top, right, bottom = each["xyxy"]
            extra = {key: each[key] for key in ("track",) if key in each}
            sides = [left, top, round(right - left, CORNERS_DIGITS), round(bottom - top, CORNERS_DIGITS)]
            found.append(
                {
                    "image_id": image,
                    "category_id": number[each["class"]],
                    "bbox": sides,
                    "score": each["score"],
                    **extra,
                }
            )
    categories = [{"id": place, "name": name} for name, place in number.items()]
    files.write_json(path, {"images": images, "categories": categories, "annotations": found})
