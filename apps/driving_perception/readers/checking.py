"""Every image and box checked: what a source gave is either usable, or bad with a reason."""

import csv
import io
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from apps.driving_perception import boxes as box
from apps.driving_perception import classes
from apps.driving_perception.readers import entries, image_files
from shared import errors, files, printing, splits

_SHOWN = 5
# A corner may lie this far outside: labels are rounded, and some tools count from 1.
_SLACK_PIXELS, _SLACK_SHARE = 2.0, 0.02
_ROUNDING = 1e-6


class Bad(NamedTuple):
    """A box or an image that cannot be used, and why; object 0 is the image itself.

    ``where`` is the object's place in words, where its number alone does not say it.
    """

    file: str
    object: int
    reason: str
    image: str
    where: str = ""


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
    things: tuple[entries.LabelledBox, ...]
    labels: tuple[str | None, ...]
    kinds: tuple[int, ...]


class Found(NamedTuple):
    """What is usable of a source, what is not, and what a reader should know."""

    images: list[Checked]
    bad: list[Bad]
    notes: list[str]


def check(source: entries.Source, meanings: Mapping[str, classes.Meaning]) -> Found:
    """Check every image of a source and every box in it; boxes of names that mean nothing to us go silently."""
    relative = _in_fractions(source)
    image_facts = image_files.read_all(source.entries)
    kept, bad = [], []
    repeated = 0
    seen: set[str] = set()
    for entry, look in zip(source.entries, image_facts, strict=True):
        problem = look.fault or ("an image of this name is listed twice" if entry.name in seen else "")
        if entry.part and entry.part not in splits.PARTS:
            problem = entry.problem or f"part {entry.part!r} is none of {', '.join(splits.PARTS)}"
        seen.add(entry.name)
        if problem:
            bad.append(Bad(entry.file, 0, problem, entry.name))
            continue
        found, faults = _things(entry, look.size, meanings, relative=relative)
        bad += faults
        distinct = _distinct(found)
        repeated += len(found) - len(distinct)
        things, labels, kinds = zip(*distinct, strict=True) if distinct else ((), (), ())
        kept.append(Checked(entry, look.size, look.digest, things, labels, kinds))
    fractions = sum(len(entry.things) for entry in source.entries) if relative else 0
    said = {
        "boxes have their corners in fractions of width and height: read so": fractions,
        "boxes repeat another one of their class in their image: they count once": repeated,
        "images are turned by Exif's orientation: pixels and boxes are taken as they are stored, not turned": sum(
            look.orientation != 1 and not look.fault for look in image_facts
        ),
        "image files hold several pictures: the first is taken": sum(
            look.pictures > 1 and not look.fault for look in image_facts
        ),
    }
    return Found(kept, bad, [f"{count:,} {note}" for note, count in said.items() if count])


def _in_fractions(source: entries.Source) -> bool:
    """Tell whether a source that should have pixels has fractions: no corner is beyond 1, and some lie between."""
    things = [thing for entry in source.entries for thing in entry.things if not (thing.problem or thing.relative)]
    return all(map(_is_small, things)) and any(map(_is_fraction, things))


def _is_small(thing: entries.LabelledBox) -> bool:
    return all(0 <= value <= 1 + _ROUNDING for value in thing.xyxy)


def _is_fraction(thing: entries.LabelledBox) -> bool:
    """Tell corners that are fractions: in pixels the box would be a part of a single one."""
    return _is_small(thing) and any(value % 1 > _ROUNDING for value in thing.xyxy)


def _distinct(
    found: Sequence[tuple[entries.LabelledBox, str | None, int]],
) -> list[tuple[entries.LabelledBox, str | None, int]]:
    """Return boxes without those that repeat another of their class: an object that was labelled twice is one."""
    first: dict[object, tuple[entries.LabelledBox, str | None, int]] = {}
    for thing, label, kind in found:
        first.setdefault((label, kind, tuple(round(value, 2) for value in thing.xyxy)), (thing, label, kind))
    return list(first.values())


def _things(
    entry: entries.Entry, size: tuple[int, int], meanings: Mapping[str, classes.Meaning], *, relative: bool
) -> tuple[list[tuple[entries.LabelledBox, str | None, int]], list[Bad]]:
    kept, bad = [], []
    for given in entry.things:
        thing = given._replace(relative=given.relative or relative)
        meaning = meanings.get(classes.plain(thing.name))
        if meaning == classes.DROPPED and not thing.problem:
            continue
        placed, fault = _placed(thing, size)
        if meaning is None and not fault:
            known = ", ".join(classes.CLASS_NAMES)
            fault = f"class {thing.name!r} has no meaning here (known: {known}; --class-file maps others)"
        if fault or meaning is None:
            bad.append(Bad(entry.file, thing.number, fault, entry.name, thing.where))
        else:
            kind = meaning.kind if meaning.kind != box.OBJECT else thing.kind
            kept.append((placed, meaning.label, kind))
    return kept, bad


def _placed(thing: entries.LabelledBox, size: tuple[int, int]) -> tuple[entries.LabelledBox, str]:
    """Return a box in pixels inside its image, or why there is none."""
    if thing.problem:
        return thing, thing.problem
    sides = (*size, *size)
    corners = [value * (side if thing.relative else 1) for value, side in zip(thing.xyxy, sides, strict=True)]
    shown = ", ".join(f"{value:g}" for value in corners)
    if not all(map(math.isfinite, corners)):
        return thing, f"a corner is not finite: {shown}"
    left, top, right, bottom = corners
    if not thing.relative and _is_fraction(thing):
        return thing, f"corners that look like fractions among others in pixels: {shown}"
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
        writer.writerow(Bad._fields[:-1])
        writer.writerows(map(printing.inert, each[:-1]) for each in bad)
        files.write_text(quarantine, table.getvalue())


def _shown(each: Bad) -> str:
    place = each.where or (f"object {each.object}" if each.object else "")
    # A file that labels one image is named after it; one that labels many says nothing of which.
    same = pathlib.PurePath(each.file).stem in (entries.stem(pathlib.PurePath(each.image)), "") or not each.image
    image = "" if same or each.image in each.reason else f" (image {each.image})"
    return f"{each.file}{': ' if each.where else ', ' if place else ''}{place}: {each.reason}{image}"
