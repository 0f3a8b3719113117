"""Folders of one text a file, in a folder per class, and the films that aclImdb says its reviews are of."""

import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence

from apps.sentiment.readers import archives, reading
from shared import errors
from shared.sources import delimited

_URL_TITLE = re.compile(r"/title/(tt\d+)")


def items(
    entries: Sequence[archives.Entry], films: Mapping[tuple[str, str], Sequence[str]], *, beside: str
) -> Iterator[reading.Item]:
    """Yield one row a file. An archive is read in its own order, and sorted afterwards."""
    found = [_item(entry, _film_of(entry, films), beside) for entry in entries]
    yield from sorted(found, key=lambda item: archives.natural(item.file))


def _item(entry: archives.Entry, film: str, beside: str) -> reading.Item:
    with entry.opener() as stream:
        content = stream.read()
    text = content.decode(delimited.encoding_of(content), errors="surrogateescape")
    return reading.Item(
        entry.name, reading.Row(1, text, entry.path.parent.name), reading.part_of(entry.name, beside=beside), film
    )


def films(entries: Sequence[archives.Entry]) -> dict[tuple[str, str], list[str]]:
    """Read aclImdb's ``urls_<class>.txt``: line n names the film of review n of that class."""
    found = {}
    for entry in entries:
        if entry.path.name.startswith("urls_") and entry.suffix == ".txt":
            with entry.opener() as stream:
                urls = stream.read().decode("utf-8", errors="replace").splitlines()
            titles = [match[1] if (match := _URL_TITLE.search(url)) else "" for url in urls]
            found[str(entry.path.parent), entry.path.stem.removeprefix("urls_")] = titles
    return found


def _film_of(entry: archives.Entry, films: Mapping[tuple[str, str], Sequence[str]]) -> str:
    folder = entry.path.parent
    number = re.match(r"\d+", entry.path.name)
    titles = films.get((str(folder.parent), folder.name), ())
    return titles[int(number[0])] if number and int(number[0]) < len(titles) else ""


def grouping(
    path: pathlib.Path, entries: Sequence[archives.Entry], films: Mapping[tuple[str, str], Sequence[str]]
) -> tuple[str, ...]:
    """Say how many reviews the files of films name a film of.

    Raises:
        errors.InputError: None, though there are such files for the classes that are read.
    """
    listed = [entry for entry in entries if (str(entry.path.parent.parent), entry.path.parent.name) in films]
    if not listed:
        return ()
    known = sum(bool(_film_of(entry, films)) for entry in listed)
    if not known:
        raise errors.InputError(
            f"{path}: expected urls_*.txt whose line n (from 0) names the film of review n, as in aclImdb. "
            f"Received: lines that name no film of the {len(listed)} reviews beside them"
        )
    return (f"reviews of one film grouped by the urls_*.txt files: {known:,} of {len(entries):,} reviews",)
