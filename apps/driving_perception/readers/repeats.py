"""Image files that are listed several times: once where all say the same, refused where they do not."""

import dataclasses
import os
import pathlib
from collections.abc import Sequence

from apps.driving_perception.readers import entries


def settle(sources: Sequence[entries.Source]) -> list[entries.Source]:
    """Return sources in which every image file occurs once, under whatever names and links it was listed.

    A file that is listed again with the same boxes and part is left out and counted; one with others is a problem of
    all its entries, since part of its objects would be background in each.
    """
    owners: dict[str, list[tuple[int, entries.Entry]]] = {}
    for number, source in enumerate(sources):
        for entry in source.entries:
            if isinstance(entry.item, pathlib.Path) and not entry.problem:
                owners.setdefault(os.path.realpath(entry.item), []).append((number, entry))
    shared = {file: _listed(found) for file, found in owners.items() if len(found) > 1}
    if not shared:
        return [*sources]
    return [_settled(source, number, shared) for number, source in enumerate(sources)]


def _listed(found: list[tuple[int, entries.Entry]]) -> list[tuple[int, entries.Entry]]:
    return [each for each in found if not each[1].inferred] or found


def _settled(source: entries.Source, number: int, shared: dict[str, list[tuple[int, entries.Entry]]]) -> entries.Source:
    kept: list[entries.Entry] = []
    harmless = yielded = 0
    for entry in source.entries:
        found = shared.get(os.path.realpath(entry.item)) if isinstance(entry.item, pathlib.Path) else None
        if found is None or entry.problem:
            kept.append(entry)
        elif not any(each is entry for _, each in found):
            yielded += 1
        elif len({_content(each) for _, each in found}) > 1:
            names = " and ".join(_name(each) for _, each in found)
            kept.append(
                entry._replace(problem=f"one image file is listed several times, with other boxes or parts: {names}")
            )
        elif found[0][0] == number and found[0][1] is entry:
            kept.append(entry)
        else:
            harmless += 1
    said = {
        "images are files that are listed before under another name: they count once": harmless,
        "images without boxes here are listed by another source: they count there": yielded,
    }
    notes = [f"{count:,} {note}" for note, count in said.items() if count]
    return dataclasses.replace(source, entries=kept, notes=[*source.notes, *notes])


def _content(entry: entries.Entry) -> object:
    """Return what an entry says of its image, to compare: boxes by class and place, and the part."""
    return entry.part, frozenset((thing.name, thing.xyxy, thing.kind) for thing in entry.things)


def _name(entry: entries.Entry) -> str:
    part = f", {entry.part}" if entry.part else ""
    return f"{entry.name} ({pathlib.PurePath(entry.file).name}{part})"
