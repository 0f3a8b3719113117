"""Official parts that are given as sources of their own: ``--data set/train --data set/test``, or as two tables."""

import dataclasses
import pathlib
from collections.abc import Sequence

from apps.medical_imaging.readers import entries


def by_name(read: Sequence[entries.Source], specs: Sequence[str]) -> list[entries.Source]:
    """Give the images of several sources the part that the source's name says, where they say none themselves.

    The name is that of the folder or table, or else, where these name no part, of the folder that it is in.
    """
    paths = [pathlib.Path(spec).absolute() for spec in specs]
    own = [entries.part_in_words(path.stem if path.is_file() else path.name) for path in paths]
    above = [entries.part_of(path.parent.name) for path in paths]
    parts = own if any(own) else above
    # What holds for all alike says nothing: /data/test/a and /data/test/b.
    if len(set(parts)) < 2:
        return list(read)
    return [_named(source, spec, part) for source, spec, part in zip(read, specs, parts, strict=True)]


def _named(source: entries.Source, spec: str, part: str) -> entries.Source:
    if not part or source.synthetic or any(entry.part for entry in source.entries):
        return source
    note = f"{spec}: its name says that its images are the official {part} part"
    named = [entry._replace(part=part) for entry in source.entries]
    return dataclasses.replace(source, entries=named, notes=(*source.notes, note))
