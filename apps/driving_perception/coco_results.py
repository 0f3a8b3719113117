"""Boxes of another detector, read from COCO results, for ``evaluate --predictions``."""

import json
import math
import pathlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from apps.driving_perception import boxes as box
from apps.driving_perception.readers import coco
from shared import errors, given_predictions
from shared.evaluation import other_models

_FORM = 'a list of {"image_id", "category_id", "bbox": [left, top, width, height], "score"}'


def read(path: pathlib.Path, rows: given_predictions.Rows) -> other_models.Predictions:
    """Read what a detector found in the images of ``rows``.

    Args:
        path: COCO results: a list, whose ``image_id`` is the number or the name of an image as ``--write-rows`` has
            them, and whose ``category_id`` counts the classes from 1; or an object with ``annotations``, ``images``
            and ``categories``, which name both.
        rows: The images.

    Raises:
        errors.InputError: The file is of another form, names an image that is none of the run's, or holds a box or
            score that is none; or it holds nothing of a part.
    """
    images, categories, found = _content(path)
    numbers = {str(name): row for row, name in enumerate(rows.table["id"])}
    numbers |= {str(number): row for row, number in enumerate(rows.table["image_id"])}
    labels = {name: place for place, name in enumerate(rows.class_names)}
    places = {part: {int(row): place for place, row in enumerate(of)} for part, of in rows.parts.items()}
    columns: dict[str, list[tuple[int, list[float], int, float]]] = {part: [] for part in rows.parts}
    others: Counter[str] = Counter()
    for number, each in enumerate(found):
        where = f"{path}: box {number + 1}"
        left, top, width, height, score = _numbers(where, each)
        image = str(each["image_id"] if images is None else images.get(coco.id_of(each["image_id"]), each["image_id"]))
        if image not in numbers:
            raise errors.InputError(f"{where}: expected an image of the run. Received: {image!r}")
        category = _category(where, each["category_id"], categories, rows.class_names)
        if category not in labels:
            others[category] += 1
            continue
        for part, rows_of in places.items():
            if (place := rows_of.get(numbers[image])) is not None:
                columns[part].append((place, [left, top, left + width, top + height], labels[category], score))
    notes = [
        f"{count:,} boxes of the class {name} are left out: the run has no such class" for name, count in others.items()
    ]
    return other_models.Predictions(
        name=path.stem,
        scores={part: _detections(path, part, listed) for part, listed in columns.items()},
        notes=tuple(notes),
    )


def _content(path: pathlib.Path) -> tuple[dict[Any, str] | None, dict[Any, str] | None, list[Any]]:
    """Return the images' and the categories' names by their ids, None where a list names none, and the boxes."""
    try:
        content = json.loads(path.read_text("utf-8-sig"))
        if isinstance(content, list):
            return None, None, content
        images = {coco.id_of(each["id"]): each["file_name"] for each in content["images"]}
        return images, coco.categories_of(content["categories"], path), list(content["annotations"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise errors.InputError(f"{path}: expected COCO results, {_FORM}. Received: {error!r:.200}") from None


def _numbers(where: str, each: Any) -> tuple[float, ...]:
    """Return left, top, width, height and score of a box."""
    try:
        found = tuple(float(number) for number in (*each["bbox"], each["score"]))
        each["image_id"], each["category_id"]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise errors.InputError(f"{where}: expected {_FORM[10:]}. Received: {error!r:.200}") from None
    if len(found) != 5 or not all(map(math.isfinite, found)) or min(found[2:4]) <= 0 or not 0 <= found[4] <= 1:
        raise errors.InputError(
            f"{where}: expected a bbox of four numbers, width and height above 0, and a score in [0, 1]. "
            f"Received: {each['bbox']!r:.100} and {each['score']!r:.40}"
        )
    return found


def _category(where: str, number: Any, names: Mapping[Any, str] | None, class_names: Sequence[str]) -> str:
    if names is not None:
        if coco.id_of(number) not in names:
            raise errors.InputError(f"{where}: expected a category_id of the file's categories. Received: {number!r}")
        return names[coco.id_of(number)]
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= len(class_names):
        listed = ", ".join(f"{place} {name}" for place, name in enumerate(class_names, start=1))
        raise errors.InputError(f"{where}: expected a category_id out of {listed}. Received: {number!r}")
    return class_names[number - 1]


def _detections(path: pathlib.Path, part: str, listed: Sequence[tuple[int, list[float], int, float]]) -> box.Detections:
    if not listed:
        raise errors.InputError(f"{path}: expected boxes in the images of the part {part}. Received: none")
    image, xyxy, label, score = zip(*listed, strict=True)
    return box.Detections.build(image=image, xyxy=np.array(xyxy), label=label, score=score)
