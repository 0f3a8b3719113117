"""Images, folders and videos as one stream of pictures, in bounded memory."""

import math
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from apps.driving_perception.readers import entries
from apps.driving_perception.tracking import video
from shared import errors
from shared.sources import folders

Item: TypeAlias = bytes | NDArray[np.uint8]
_Picture: TypeAlias = tuple[dict[str, object], Item]


def iterate(
    paths: Sequence[pathlib.Path],
    *,
    chunk_rows: int,
    frames_per_second: float | None = None,
) -> Iterator[tuple[pd.DataFrame, list[Item]]]:
    """Stream the pictures of files, folders and videos, always in the same order.

    Args:
        paths: Images, videos, folders of them; see ``find``.
        chunk_rows: Pictures at a time.
        frames_per_second: Images of one folder are the frames of a clip, at this rate; None: they are not.

    Yields:
        A frame of ``file``, ``frame`` (number in its clip from 0), ``seconds`` (since the clip began) and ``clip`` (the
        video, or the folder), which are 0, NaN and "" for images that are no frames; and the pictures: files as they
        are, even where they are no image, so that each gets an answer; frames of videos as (height, width, 3) uint8
        red, green, blue.

    Raises:
        errors.InputError: A path does not exist, is neither image nor video, or a folder holds none (before anything is
            read); a video cannot be decoded; the rate is not above 0.
    """
    if frames_per_second is not None and not (0 < frames_per_second < math.inf):
        raise errors.InputError(f"frames per second: expected a number above 0. Received: {frames_per_second}")
    rows: list[dict[str, object]] = []
    items: list[Item] = []
    for row, item in _pictures(find(paths).files, frames_per_second):
        rows.append(row)
        items.append(item)
        if len(rows) == chunk_rows:
            yield pd.DataFrame(rows), items
            rows, items = [], []
    if rows:
        yield pd.DataFrame(rows), items


def _pictures(found: Sequence[pathlib.Path], rate: float | None) -> Iterator[_Picture]:
    seen: dict[str, int] = {}
    for file in found:
        if file.suffix.lower() in video.SUFFIXES:
            yield from _frames(file)
        elif rate is None:
            yield {"file": str(file), "frame": 0, "seconds": math.nan, "clip": ""}, _bytes(file)
        else:
            clip = str(file.parent)
            frame = seen[clip] = seen.get(clip, -1) + 1
            yield {"file": str(file), "frame": frame, "seconds": frame / rate, "clip": clip}, _bytes(file)


def _frames(file: pathlib.Path) -> Iterator[_Picture]:
    for number, (seconds, picture) in enumerate(video.read(file)):
        yield {"file": str(file), "frame": number, "seconds": seconds, "clip": str(file)}, picture


class Found(NamedTuple):
    """The images and videos of all inputs in order, and what a user should know of the others."""

    files: list[pathlib.Path]
    notes: list[str]


def find(paths: Sequence[pathlib.Path], *, follow_links: bool = False) -> Found:
    """Return the images and videos that paths mean, folder by folder, numbered ones in the order of their numbers.

    Hidden files and folders are passed over: they are what other programs, and a killed ``predict``, left. Other files
    of folders are counted in a note.

    Raises:
        errors.InputError: A path means none, or a link leads out of its folder and ``follow_links`` is not set.
    """
    found: list[pathlib.Path] = []
    notes: list[str] = []
    rest: list[pathlib.Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(_single(path))
            continue
        listing = folders.listing(path, follow_links=follow_links)
        shown = [each for each in listing.files if _is_shown(each)]
        if not shown:
            left = folders.unread(listing.files)
            raise errors.InputError(f"{_expected(path)}. Received: a folder without any{left and f' ({left})'}")
        found += sorted(shown, key=_order)
        read = set(shown)
        rest += [each for each in listing.files if each not in read]
        notes += listing.notes
    return Found(found, [note for note in (*notes, folders.unread(rest)) if note])


def _single(path: pathlib.Path) -> pathlib.Path:
    if not path.exists():
        raise errors.InputError(f"{_expected(path)}. Received: a path that does not exist")
    if not _is_shown(path):
        raise errors.InputError(f"{_expected(path)}. Received: another file")
    return path


def _is_shown(path: pathlib.Path) -> bool:
    return path.suffix.lower() in video.SUFFIXES or entries.is_picture(path)


def _expected(path: pathlib.Path) -> str:
    images, videos = ", ".join(entries.SUFFIXES), ", ".join(video.SUFFIXES)
    return f"{path}: expected an image ({images}), a video ({videos}) or a folder of these"


def _order(path: pathlib.Path) -> tuple[object, ...]:
    """Sort by folder, then by name, with numbers as numbers; names that differ by leading zeros by their letters."""
    return [_natural(part) for part in path.parent.parts], _natural(path.name), str(path)


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _bytes(path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise errors.InputError(f"{path}: expected a readable image. Received: {error.strerror}") from None
