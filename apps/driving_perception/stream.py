"""Images, folders and videos as one stream of pictures, in bounded memory."""

import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from apps.driving_perception import video
from apps.driving_perception.readers import entries
from shared import errors

Item: TypeAlias = bytes | NDArray[np.uint8]


def iterate(
    paths: Sequence[pathlib.Path], *, chunk_rows: int, frames_per_second: float | None = None
) -> Iterator[tuple[pd.DataFrame, list[Item]]]:
    """Stream the pictures of files, folders and videos, always in the same order.

    Args:
        paths: Images, videos, folders of them; what is neither in a folder is passed over.
        chunk_rows: Pictures at a time.
        frames_per_second: Images of one folder are the frames of a clip, at this rate; None: they are not.

    Yields:
        A frame of ``file``, ``frame`` (number in its video, 0 for images), ``seconds`` (in the video; 0 for images) and
        ``clip`` (the video, or the folder; "" for images that are no frames), and the pictures: files as
        they are, frames of videos as (height, width, 3) uint8 red, green, blue.

    Raises:
        errors.InputError: A path does not exist, is neither image nor video, or a folder holds none.
    """
    rows: list[dict[str, object]] = []
    items: list[Item] = []
    for path in paths:
        for row, item in _pictures(path, frames_per_second):
            rows.append(row)
            items.append(item)
            if len(rows) == chunk_rows:
                yield pd.DataFrame(rows), items
                rows, items = [], []
    if rows:
        yield pd.DataFrame(rows), items


def _pictures(path: pathlib.Path, rate: float | None) -> Iterator[tuple[dict[str, object], Item]]:
    seen: dict[str, int] = {}
    for each in files_of(path):
        if each.suffix.lower() in video.SUFFIXES:
            for number, (seconds, picture) in enumerate(video.read(each)):
                yield {"file": str(each), "frame": number, "seconds": seconds, "clip": str(each)}, picture
        else:
            clip = str(each.parent) if rate else ""
            frame = seen.get(clip, 0) if rate else 0
            seen[clip] = frame + 1
            yield (
                {"file": str(each), "frame": frame, "seconds": frame / rate if rate else 0.0, "clip": clip},
                _bytes(each),
            )


def files_of(path: pathlib.Path) -> list[pathlib.Path]:
    """Return the images and videos that a path means, numbered ones in the order of their numbers.

    Raises:
        errors.InputError: There are none.
    """
    kinds = (*entries.SUFFIXES, *video.SUFFIXES)
    expected = f"{path}: expected an image ({', '.join(entries.SUFFIXES)}), a video ({', '.join(video.SUFFIXES)}) or a folder of these"
    if not path.exists():
        raise errors.InputError(f"{expected}. Received: a path that does not exist")
    if path.is_file():
        if path.suffix.lower() not in kinds:
            raise errors.InputError(f"{expected}. Received: another file")
        return [path]
    found = [each for each in path.rglob("*") if each.is_file() and each.suffix.lower() in kinds]
    if not found:
        raise errors.InputError(f"{expected}. Received: a folder without any")
    return sorted(found, key=_order)


def _order(path: pathlib.Path) -> tuple[str, list[tuple[int, str]]]:
    """Sort by folder, then by name with numbers as numbers."""
    parts = re.split(r"(\d+)", path.name)
    return str(path.parent), [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _bytes(path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise errors.InputError(f"{path}: expected a readable image. Received: {error.strerror}") from None
