"""Every image and box checked: what a source gave is either usable, or bad with a reason."""

import csv
import hashlib
import io
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import PIL
import PIL.Image

from apps.driving_perception import boxes as box
from apps.driving_perception import classes
from apps.driving_perception.readers import entries
from shared import errors, files, splits

_SHOWN = 5
# A corner may lie this far outside: labels are rounded, and some tools count from 1.
_SLACK_PIXELS, _SLACK_SHARE = 2.0, 0.02


class Bad(NamedTuple):
    """A box or an image that cannot be used, and why; object 0 is the image itself."""

    file: str
    object: int
    reason: str
    image: str


class Checked(NamedTuple):
    """A usable image.

    Attributes:
        entry: What its reader gave.
        size: Width and height in pixels.
        digest: First 64 bits of its content's SHA-256.
        things: The usable boxes, with corners in pixels inside the image.
        labels: For each the name of our class, or None for a region of any class.
        kinds: For each its kind.
    """

    entry: entries.Entry
    size: tuple[int, int]
    digest: int
    things: tuple[entries.Thing, ...]
    labels: tuple[str | None, ...]
    kinds: tuple[int, ...]


def check(source: entries.Source, meanings: Mapping[str, classes.Meaning]) -> tuple[list[Checked], list[Bad]]:
    """Check every image of a source and every box in it; boxes of names that mean nothing to us go silently."""
    kept, bad = [], []
    seen: set[str] = set()
    for entry in source.entries:
        problem = entry.problem or ("an image of this name is listed twice" if entry.name in seen else "")
        if entry.part and entry.part not in splits.PARTS:
            problem = problem or f"part {entry.part!r} is none of {', '.join(splits.PARTS)}"
        seen.add(entry.name)
        size, digest, fault = ((0, 0), 0, problem) if problem else _look(entry)
        if fault:
            bad.append(Bad(entry.file, 0, fault, entry.name))
            continue
        found, faults = _things(entry, size, meanings)
        bad += faults
        things, labels, kinds = zip(*found, strict=True) if found else ((), (), ())
        kept.append(Checked(entry, size, digest, things, labels, kinds))
    return kept, bad


def _look(entry: entries.Entry) -> tuple[tuple[int, int], int, str]:
    """Return an image's size and digest, and why it cannot be used."""
    try:
        content = entry.item if isinstance(entry.item, bytes) else pathlib.Path(entry.item).read_bytes()
        with PIL.Image.open(io.BytesIO(content)) as image:
            size = image.size
            whole = _whole(image, content)
    except PIL.UnidentifiedImageError:
        return (0, 0), 0, f"no image that can be read: it begins with {content[:8]!r}"
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        return (0, 0), 0, f"no image that can be read: {error}"
    digest = int.from_bytes(hashlib.sha256(content).digest()[:8], "big")
    if not whole:
        return size, digest, "the image file is cut off"
    if entry.size is not None and entry.size != size:
        labelled = f"{entry.size[0]} x {entry.size[1]}"
        return size, digest, f"labelled for {labelled} pixels, but it has {size[0]} x {size[1]}"
    return size, digest, ""


def _whole(image: PIL.Image.Image, content: bytes) -> bool:
    """Tell whether a file goes on to its end: one that was cut off opens all the same.

    JPEG says so by its last two bytes, PNG by its chunks and their checksums; others are decoded.
    """
    if image.format == "JPEG" and content.rstrip(b"\0\r\n ")[-2:] == b"\xff\xd9":
        return True
    try:
        if image.format == "PNG":
            image.verify()
        else:
            image.load()
    except (OSError, SyntaxError, ValueError):
        return False
    return True


def _things(
    entry: entries.Entry, size: tuple[int, int], meanings: Mapping[str, classes.Meaning]
) -> tuple[list[tuple[entries.Thing, str | None, int]], list[Bad]]:
    kept, bad = [], []
    for thing in entry.things:
        meaning = meanings.get(classes.plain(thing.name))
        if meaning == classes.DROPPED and not thing.problem:
            continue
        placed, fault = _placed(thing, size)
        if meaning is None and not fault:
            known = ", ".join(classes.CLASS_NAMES)
            fault = f"class {thing.name!r} has no meaning here (known: {known}; --class-file maps others)"
        if fault or meaning is None:
            bad.append(Bad(entry.file, thing.number, fault, entry.name))
        else:
            kind = meaning.kind if meaning.kind != box.OBJECT else thing.kind
            kept.append((placed, meaning.label, kind))
    return kept, bad


def _placed(thing: entries.Thing, size: tuple[int, int]) -> tuple[entries.Thing, str]:
    """Return a box in pixels inside its image, or why there is none."""
    if thing.problem:
        return thing, thing.problem
    sides = (*size, *size)
    corners = [value * (side if thing.relative else 1) for value, side in zip(thing.xyxy, sides, strict=True)]
    shown = ", ".join(f"{value:g}" for value in corners)
    if not all(map(math.isfinite, corners)):
        return thing, f"a corner is not finite: {shown}"
    left, top, right, bottom = corners
    if right <= left or bottom <= top:
        return thing, f"an empty box: {shown}"
    outside = [max(-corners[i], corners[i + 2] - size[i]) for i in (0, 1)]
    if any(over > max(_SLACK_PIXELS, _SLACK_SHARE * side) for over, side in zip(outside, size, strict=True)):
        return thing, f"a box outside the image of {size[0]} x {size[1]} pixels: {shown}"
    cut = [min(max(value, 0.0), float(side)) for value, side in zip(corners, sides, strict=True)]
    if cut[2] <= cut[0] or cut[3] <= cut[1]:
        return thing, f"a box outside the image of {size[0]} x {size[1]} pixels: {shown}"
    return thing._replace(xyxy=(cut[0], cut[1], cut[2], cut[3]), relative=False), ""


def settle(bad: Sequence[Bad], *, images: int, skip_bad: bool, quarantine: pathlib.Path | None) -> None:
    """Refuse what is bad with one message, or list it in the quarantine file.

    Args:
        bad: Boxes and images that cannot be used.
        images: Number of images that can.
        skip_bad: Whether to go on without.
        quarantine: Where they are listed then: csv of file, object, reason, image.

    Raises:
        errors.InputError: There is something bad and ``skip_bad`` is false, or no image is left.
    """
    if bad and not (skip_bad and images):
        shown = "; ".join(_shown(each) for each in bad[:_SHOWN])
        more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        advice = " --skip-bad sets them aside." if images else " No image is left to use."
        raise errors.InputError(
            f"{len(bad)} boxes or images cannot be used.{advice} Expected whole images, and boxes inside them of known "
            f"classes. Received: {shown}{more}"
        )
    if not images:
        raise errors.InputError("Expected at least one image. Received: none")
    if bad and quarantine is not None:
        table = io.StringIO(newline="")
        writer = csv.writer(table)
        writer.writerow(Bad._fields)
        writer.writerows(bad)
        files.write_text(quarantine, table.getvalue())


def _shown(each: Bad) -> str:
    where = f"{each.file}, object {each.object}" if each.object else each.file
    return f"{where}: {each.reason}"
