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
from apps.driving_perception.tracking import clips, video
from shared import errors, files
from shared.sources import folders

Item: TypeAlias = bytes | NDArray[np.uint8]
_Picture: TypeAlias = tuple[dict[str, object], Item]
_SHOWN = 3


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
        frames_per_second: Series of numbered images are clips, with so many steps of the number in a second; None:
            each image stands alone.

    Yields:
        A frame of ``file``, ``frame`` (place in its clip from 0), ``seconds`` (since the clip began) and ``clip`` (the
        video, or the series; see ``clips``), which are 0, NaN and "" for images that are no frames; and the pictures:
        files as they are, even where they are no image, so that each gets a prediction; frames of videos as (height,
        width, 3) uint8 red, green, blue.

    Raises:
        errors.InputError: A path does not exist, is neither image nor video, or a folder holds none (before anything is
            read); a video cannot be decoded; the rate is not above 0.
    """
    rows: list[dict[str, object]] = []
    items: list[Item] = []
    for row, item in _pictures(find(paths, frames_per_second=frames_per_second).frames):
        rows.append(row)
        items.append(item)
        if len(rows) == chunk_rows:
            yield pd.DataFrame(rows), items
            rows, items = [], []
    if rows:
        yield pd.DataFrame(rows), items


def _pictures(frames: Sequence[clips.Frame]) -> Iterator[_Picture]:
    for frame in frames:
        name = files.printable(frame.path)
        if _is_video(frame.path):
            for number, (seconds, picture) in enumerate(video.read(frame.path)):
                yield {"file": name, "frame": number, "seconds": seconds, "clip": name}, picture
        else:
            row = {"file": name, "frame": frame.place, "seconds": frame.seconds, "clip": frame.clip}
            yield row, _bytes(frame.path)


class Found(NamedTuple):
    """The images and videos of all inputs in the order in which they are read, and what a user should know."""

    frames: list[clips.Frame]
    notes: list[str]

    @property
    def files(self) -> list[pathlib.Path]:
        """The files alone."""
        return [frame.path for frame in self.frames]


def find(paths: Sequence[pathlib.Path], *, follow_links: bool = False, frames_per_second: float | None = None) -> Found:
    """Return the images and videos that paths mean, folder by folder, numbered ones in the order of their numbers.

    Hidden files and folders are passed over: they are what other programs, and a killed ``predict``, left. Other files
    of folders are counted in a note. With a rate, the images of a clip stand together, whatever their order was.

    Raises:
        errors.InputError: A path means none, or a link leads out of its folder and ``follow_links`` is not set; the
            rate is not above 0.
    """
    if frames_per_second is not None and not (0 < frames_per_second < math.inf):
        raise errors.InputError(f"frames per second: expected a number above 0. Received: {frames_per_second}")
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
    notes += filter(None, [_passed_over(rest)])
    if frames_per_second is None:
        return Found([clips.Frame(path) for path in found], notes)
    arranged = clips.arrange(found, frames_per_second=frames_per_second, videos=set(filter(_is_video, found)))
    return Found(arranged.frames, [*notes, *arranged.notes])


def _passed_over(paths: Sequence[pathlib.Path]) -> str:
    """Return a note on files that are neither images nor videos, with the first names; "" for none."""
    names = ", ".join(path.name for path in paths[:_SHOWN])
    more = f" and {len(paths) - _SHOWN:,} more" if len(paths) > _SHOWN else ""
    return f"{folders.unread(paths)}: {names}{more}" if paths else ""


def _single(path: pathlib.Path) -> pathlib.Path:
    if not path.exists():
        raise errors.InputError(f"{_expected(path)}. Received: a path that does not exist")
    if not _is_shown(path):
        raise errors.InputError(f"{_expected(path)}. Received: another file")
    return path


def _is_shown(path: pathlib.Path) -> bool:
    return _is_video(path) or entries.is_picture(path)


def _is_video(path: pathlib.Path) -> bool:
    return path.suffix.lower() in video.SUFFIXES


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
