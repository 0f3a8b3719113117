"""The lines of YOLO's label files: a box, an oriented box, a polygon, or a box with keypoints; read by one rule.

What a fifth number after the box is (a detector's confidence, or an angle) is decided over all files of a source.
"""

import math
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from apps.driving_perception.readers import entries
from shared.sources import delimited

_BOX, _WITH_ONE_MORE = 4, 5
_LEAST_POLYGON = 6
# Beyond this a number is no fraction that was rounded or reaches out of the picture, but one of pixels.
_LARGEST_FRACTION = 2.0


class Lines(NamedTuple):
    """The boxes of each image, and what a reader should know of how they were read."""

    things: dict[pathlib.Path, tuple[entries.Thing, ...]]
    notes: list[str]


def read(labels: Mapping[pathlib.Path, pathlib.Path], names: Mapping[int, str], *, keypoint_numbers: int) -> Lines:
    """Read label files.

    Args:
        labels: The label file of each image.
        names: Class names by number.
        keypoint_numbers: Numbers of keypoints that follow each box; 0 for none.
    """
    numbered = {image: list(_fields(file)) for image, file in labels.items()}
    ones = [fields[5] for lines in numbered.values() for _, fields in lines if len(fields) == _WITH_ONE_MORE + 1]
    angle = next((text for text in ones if not 0 <= entries.number(text) <= 1), "")
    things = {
        image: tuple(_thing(fields, number, names, keypoint_numbers, angle) for number, fields in lines)
        for image, lines in numbered.items()
    }
    polygons = sum(_is_polygon(len(fields) - 1, keypoint_numbers) for lines in numbered.values() for _, fields in lines)
    said = {
        "boxes have a sixth column from 0 to 1: it is taken for a detector's confidence and not used": (
            0 if angle or keypoint_numbers == 1 else len(ones)
        ),
        "labels are polygons or oriented boxes of corners: the upright box around them is used": polygons,
    }
    return Lines(things, [f"{count:,} {note}" for note, count in said.items() if count])


def _fields(file: pathlib.Path) -> list[tuple[int, list[str]]]:
    content = file.read_bytes()
    text = content.decode(delimited.encoding_of(content[:512]), errors="replace")
    return [(number, line.split()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]


def _is_polygon(count: int, keypoint_numbers: int) -> bool:
    return not keypoint_numbers and count >= _LEAST_POLYGON and count % 2 == 0


def _thing(
    fields: Sequence[str], number: int, names: Mapping[int, str], keypoint_numbers: int, angle: str
) -> entries.Thing:
    values = [entries.number(field) for field in fields[1:]]
    problem = _problem(fields, values, keypoint_numbers, angle)
    if problem:
        return entries.Thing("", (math.nan,) * 4, number, problem=problem)
    name = names.get(int(float(fields[0])), "")
    if _is_polygon(len(values), keypoint_numbers):
        across, down = values[::2], values[1::2]
        corners = (min(across), min(down), max(across), max(down))
    else:
        x, y, width, height = values[:4]
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return entries.Thing(
        name, corners, number, relative=True, problem="" if name else f"class number {fields[0]} has no name"
    )


def _problem(fields: Sequence[str], values: Sequence[float], keypoint_numbers: int, angle: str) -> str:
    """Say why a line is no label that we read; "" where it is one."""
    line = f"{' '.join(fields)[:60]!r}"
    # Tools that count in floats write 0.0 for the class number 0.
    if not re.fullmatch(r"[0-9]{1,9}(\.0+)?", fields[0]) or not all(map(math.isfinite, values)) or len(values) < _BOX:
        return f"{line} is not a class number and four fractions"
    if keypoint_numbers:
        fits = len(values) in (_BOX, _BOX + keypoint_numbers)
        return "" if fits else f"{line} is not a box and {keypoint_numbers} numbers of keypoints (kpt_shape)"
    if len(values) == _WITH_ONE_MORE and angle:
        return (
            f"{line} is a class number, a box and what seems to be an angle ({angle} is beyond 0 to 1): expected "
            "upright boxes, or oriented ones by their four corners"
        )
    if len(values) > _WITH_ONE_MORE and not _is_polygon(len(values), keypoint_numbers):
        return f"{line}... has {len(values)} numbers after the class: keypoints need kpt_shape in data.yaml"
    coordinates = values if _is_polygon(len(values), keypoint_numbers) else values[:_BOX]
    if max(map(abs, coordinates)) > _LARGEST_FRACTION:
        return f"{line} is not in fractions of width and height"
    return ""
