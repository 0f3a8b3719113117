"""Which pictures are the frames of one clip, and when each was taken, by the numbers in their names.

A clip is a series of names in one folder that differ in one number: ``front_0001.jpg``, ``front_0002.jpg``, ...; two
cameras in one folder are two clips, and the order in which files are given does not matter. The number says the time:
one step is 1 / (frames per second), so that dropped frames leave a gap; where names hold times of day or seconds since
1970, these are taken. Times of files are not used: copying changes them.
"""

import collections
import datetime
import itertools
import math
import pathlib
import re
import statistics
from collections.abc import Collection, Sequence
from typing import NamedTuple

from apps.driving_perception.readers import entries

_DIGITS = re.compile(r"\d+")
# 2024-01-05_15-30-12.250, 20240105_153012, 20240105153012250: a fraction of a second has three or six digits.
_DATE_TIME = re.compile(
    r"(?<!\d)((?:19|20)\d\d)([-_.]?)(\d\d)\2(\d\d)[-_ T.]{0,2}"
    r"(\d\d)([-_:.]?)(\d\d)\6(\d\d)(?:[-_.,]?(\d{6}|\d{3}))?(?!\d)"
)
_UNIX_SECONDS = re.compile(r"(?<!\d)([1-9]\d{9})\.(\d{1,9})(?!\d)")
# Digits of a date with time as ``_plain_times`` writes it: 14, and 9 of the fraction.
_DATE_TIME_DIGITS = 23
# Nanoseconds in a unit, and the numbers that are times since 1970 in it: from 1998 to 2103.
_SINCE_1970 = {10**9: (9 * 10**8, 42 * 10**8), 10**6: (9 * 10**11, 42 * 10**11), 10**3: (9 * 10**14, 42 * 10**14),
               1: (10**17, 42 * 10**17)}  # fmt: skip
# What stands before a number that names a camera and not a moment.
_CAMERA = re.compile(r"(?:cam|camera|channel|lens|sensor|view)[-_ .]?$", re.IGNORECASE)
# A jump of times is a gap from so many usual steps on.
_GAP_STEPS = 1.5
_SHOWN = 3


class Frame(NamedTuple):
    """One file as a frame.

    Attributes:
        path: The file.
        clip: What the clip is called: its folder, with the series' name where the folder holds more; "" for none.
        place: Place in the clip from 0.
        seconds: Since the clip began; NaN where there is no clip.
    """

    path: pathlib.Path
    clip: str = ""
    place: int = 0
    seconds: float = math.nan


class Clips(NamedTuple):
    """All files, those of a clip one after another in the order of their numbers, and what a user should know."""

    frames: list[Frame]
    notes: list[str]


class _Name(NamedTuple):
    """One file's name: its texts and numbers in turn, texts first."""

    path: pathlib.Path
    parts: tuple[str, ...]

    @property
    def pattern(self) -> tuple[str, ...]:
        return self.parts[::2]

    @property
    def numbers(self) -> tuple[str, ...]:
        return self.parts[1::2]


class _Series(NamedTuple):
    """Pictures with their numbers, ascending; ``name`` has a star for the number."""

    folder: pathlib.Path
    name: str
    frames: list[tuple[int, pathlib.Path]]


def arrange(paths: Sequence[pathlib.Path], *, frames_per_second: float, videos: Collection[pathlib.Path] = ()) -> Clips:
    """Group image files into clips.

    Files keep the place of the first file of their clip. A picture that is given twice begins its clip anew, so that
    every given file has a frame.

    Args:
        paths: Files, each as often as it is given.
        frames_per_second: How many steps of a number there are in a second.
        videos: Those of the files that are clips by themselves: they keep their place, and have no frame here.
    """
    folders: dict[pathlib.Path, list[pathlib.Path]] = {}
    for path in dict.fromkeys(path for path in paths if path not in videos):
        folders.setdefault(path.parent, []).append(path)
    of: dict[pathlib.Path, Frame] = {}
    notes: list[str] = []
    lonely = 0
    for folder, inside in folders.items():
        series, others = _series_of(folder, inside)
        if not series:
            series, others = [_Series(folder, "*", list(enumerate(inside)))], []
            notes.append(f"{folder}: no numbers in the names; the pictures are frames in the order of their names")
        if others:
            notes.append(f"{folder}: {len(others):,} pictures without a number are in no clip: {_listed(others)}")
        for each in series:
            alone = len(series) == 1 and not others
            found, said = _frames(each, str(folder if alone else folder / each.name), frames_per_second)
            of |= {frame.path: frame for frame in found}
            notes += said
            lonely += len(found) == 1 < len(paths)
    if lonely:
        notes.append(f"{lonely:,} clips hold one picture only: nothing can be followed in them")
    return Clips(_in_order(paths, of), notes)


def _in_order(paths: Sequence[pathlib.Path], of: dict[pathlib.Path, Frame]) -> list[Frame]:
    first: dict[object, int] = {}
    given: collections.Counter[pathlib.Path] = collections.Counter()
    ranked = []
    for index, path in enumerate(paths):
        frame = of.get(path, Frame(path))
        begun = first.setdefault(frame.clip or index, index)
        ranked.append(((begun, given[path], frame.place, index), frame))
        given[path] += 1
    return [frame for _, frame in sorted(ranked, key=lambda pair: pair[0])]


def _series_of(folder: pathlib.Path, inside: Sequence[pathlib.Path]) -> tuple[list[_Series], list[pathlib.Path]]:
    """Return the series of a folder's pictures, and the pictures without a number."""
    alike: dict[tuple[str, ...], list[_Name]] = {}
    for path in inside:
        name = _Name(path, tuple(_split(_plain_times(entries.stem(path)))))
        alike.setdefault(name.pattern, []).append(name)
    series, others = [], []
    for pattern, names in alike.items():
        if len(pattern) == 1:
            others += [name.path for name in names]
        else:
            series += [_Series(folder, title, sorted(frames)) for title, frames in _grouped(names).items()]
    return series, others


def _split(stem: str) -> list[str]:
    """Return texts and numbers in turn.

    >>> _split("cam2_0031_left")
    ['cam', '2', '_', '0031', '_left']
    """
    return re.split(r"(\d+)", stem)


def _plain_times(stem: str) -> str:
    """Write each time in a name as one number: dates as 14 digits and 9 of a fraction, seconds since 1970 in 1e-9.

    >>> _plain_times("x_2024-01-05_15-30-12.250"), _plain_times("1305031102.175")
    ('x_20240105153012250000000', '1305031102175000000')
    """

    def date(found: re.Match[str]) -> str:
        year, _, month, day, hour, _, minute, second, fraction = found.groups()
        compact = f"{year}{month}{day}{hour}{minute}{second}{(fraction or '').ljust(9, '0')}"
        return found[0] if _nanoseconds(compact) is None else compact

    return _UNIX_SECONDS.sub(lambda found: found[1] + found[2].ljust(9, "0"), _DATE_TIME.sub(date, stem))


def _nanoseconds(number: str) -> int | None:
    """Return the time since 1970 that a number of a name says; None where it counts frames."""
    if len(number) == _DATE_TIME_DIGITS:
        try:
            said = datetime.datetime.strptime(number[:14], "%Y%m%d%H%M%S").replace(tzinfo=datetime.UTC)
        except ValueError:
            return None
        return int(said.timestamp()) * 10**9 + int(number[14:])
    value = int(number)
    return next((value * unit for unit, (low, high) in _SINCE_1970.items() if low <= value < high), None)


def _grouped(names: Sequence[_Name]) -> dict[str, list[tuple[int, pathlib.Path]]]:
    """Group names of one pattern into series: by all their numbers but one, which says the moment.

    That is the last number which varies and stands behind no word for a camera. Where it leaves every picture alone,
    the whole pattern is one series if the last number differs everywhere.
    """
    varying = [i for i in range(len(names[0].numbers)) if len({name.numbers[i] for name in names}) > 1]
    moments = [i for i in varying if not _CAMERA.search(names[0].pattern[i])]
    chosen = (moments or varying or [len(names[0].numbers) - 1])[-1]
    found = _by_rest(names, chosen, [i for i in range(len(names[0].numbers)) if i != chosen])
    if len(found) == len(names) > 1:
        whole = _by_rest(names, chosen, [])
        return whole if len(whole) == 1 else found
    return found


def _by_rest(names: Sequence[_Name], chosen: int, rest: Sequence[int]) -> dict[str, list[tuple[int, pathlib.Path]]]:
    """Group by the numbers in ``rest``; further by suffix and by the number's digits where numbers would repeat."""
    groups: dict[tuple[str, ...], list[_Name]] = {}
    for name in names:
        groups.setdefault(tuple(name.numbers[i] for i in rest), []).append(name)
    found: dict[str, list[tuple[int, pathlib.Path]]] = {}
    for group in groups.values():
        repeated = len({int(name.numbers[chosen]) for name in group}) < len(group)
        for name in group:
            parts = [*name.parts]
            parts[1::2] = [text if i in rest else "*" for i, text in enumerate(name.numbers)]
            parts[2 * chosen + 1] = "?" * len(name.numbers[chosen]) if repeated else "*"
            title = "".join(parts) + (name.path.suffix if repeated else "")
            found.setdefault(title, []).append((int(name.numbers[chosen]), name.path))
    return found


def _frames(series: _Series, clip: str, rate: float) -> tuple[list[Frame], list[str]]:
    """Return the frames of a series with their times, and notes on these."""
    times = [_nanoseconds(str(number)) for number, _ in series.frames]
    absolute = [time for time in times if time is not None]
    timed = len(absolute) == len(times)
    numbers = absolute if timed else [number for number, _ in series.frames]
    step = 1e-9 if timed else 1 / rate
    found = [
        Frame(path, clip, place, round((numbers[place] - numbers[0]) * step, 9))
        for place, (_, path) in enumerate(series.frames)
    ]
    return found, [f"{clip}: {note}" for note in _notes(numbers, step, timed=timed)]


def _notes(numbers: Sequence[int], step: float, *, timed: bool) -> list[str]:
    """Return what to know of a series' times: what they were taken from, and where they jump."""
    steps = [after - before for before, after in itertools.pairwise(numbers)]
    if not steps:
        return []
    usual = statistics.median_low(steps)
    notes = ["the numbers of the names are times; the frames per second that were given are not used"] if timed else []
    if usual > 1 and not timed:
        notes.append(f"numbers go up by {usual} a picture: pictures are taken as {usual * step:g} s apart")
    gaps = [i for i, each in enumerate(steps) if each > _GAP_STEPS * usual]
    if gaps:
        shown = [f"{(number - numbers[0]) * step:g} s" if timed else str(number) for number in numbers]
        jumps = ", ".join(f"from {shown[i]} to {shown[i + 1]}" for i in gaps[:_SHOWN])
        more = f" and {len(gaps) - _SHOWN:,} times more" if len(gaps) > _SHOWN else ""
        notes.append(f"numbers jump {jumps}{more}: frames are missing, and times go on after the gap")
    return notes


def _listed(paths: Sequence[pathlib.Path]) -> str:
    names = ", ".join(path.name for path in paths[:_SHOWN])
    return f"{names} and {len(paths) - _SHOWN:,} more" if len(paths) > _SHOWN else names
