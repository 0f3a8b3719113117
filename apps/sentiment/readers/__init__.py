"""Reading reviews: recognise a source, stream its rows, check them, understand their labels.

Here is what all readers share: rows, options, decoding, and the choice of columns.
"""

import dataclasses
import io
import pathlib
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from shared import errors
from shared.sources import delimited, kept


def plain_name(column: str) -> str:
    """Return a column's name as it is recognised: case, separators and quotation marks aside.

    >>> plain_name(' "Review-Text"'), plain_name("star_rating")
    ('reviewtext', 'starrating')
    """
    return re.sub(r"[\W_]+", "", column.casefold())


def _names(*columns: str) -> frozenset[str]:
    return frozenset(map(plain_name, columns))


TEXT_COLUMNS = _names(
    *("text", "review", "sentence", "tweet", "content", "comment", "body", "message", "phrase"),
    *("review_text", "review_body", "review_content", "reviews_text", "tweet_text"),
)
CLASS_COLUMNS = _names("label", "labels", "sentiment", "polarity", "airline_sentiment", "class", "target")
RATING_COLUMNS = _names(
    *("stars", "star", "star_rating", "star_ratings", "stars_rating", "review_stars", "rating", "ratings"),
    *("review_rating", "reviews_rating", "score", "overall", "overall_rating", "review_score"),
)
PART_COLUMNS = _names("split", "part", "set", "subset", "partition", "dataset_split", "data_split")
SOURCE_COLUMN = "source"

# Names of the parts that publishers fix.
PARTS = {
    "train": "train",
    "training": "train",
    "dev": "validation",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}

HEAD_BYTES = 1 << 16

Opener = delimited.Opener

_SHOWN_CHARACTERS = 40


class NoLabelColumn(errors.InputError):
    """A table has no column of labels, though labels are wanted."""


class Row(NamedTuple):
    """One row of a file: ``number``, from 1, is the line it begins on, or its place in parquet.

    ``part`` is what a column of official parts says, as it stands there; ``kept`` the cells of ``Columns.kept``.
    """

    number: int
    text: str | None
    label: str | None
    source: str = ""
    problem: str = ""
    part: str = ""
    kept: tuple[Any, ...] = ()


class Item(NamedTuple):
    """One row with its origin: file, official part (or ``""``) and film (or ``""``)."""

    file: str
    row: Row
    part: str = ""
    film: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What the user said about columns and links, whether labels are wanted, and which columns are kept."""

    text_column: str | None = None
    label_column: str | None = None
    labelled: bool = True
    follow_links: bool = False
    keep: Sequence[str] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Columns:
    """The columns of a table that are read, by name; None for what it has none of.

    Attributes:
        text: The texts.
        label: Their labels.
        source: Where a text comes from.
        part: The official part.
        roles: What each column of the table is, in words.
        kept: Columns that are handed on as they are.
    """

    text: str
    label: str | None
    source: str | None
    part: str | None
    roles: Mapping[str, str]
    kept: tuple[str, ...] = ()


class Table(NamedTuple):
    """An open file: its rows, read lazily, the columns these come from (None of lines), and notes on how it is read."""

    rows: Iterator[Row]
    columns: Columns | None
    notes: tuple[str, ...] = ()


def text_stream(opener: Opener, *, encoding: str, newline: str) -> io.TextIOWrapper:
    """Open for reading text; undecodable bytes become lone surrogates, to be found and reported by row."""
    return io.TextIOWrapper(opener(), encoding=encoding, errors="surrogateescape", newline=newline)


def first_line(head: bytes) -> str:
    """Decode the first line that holds anything, for recognising a format."""
    decoded = head.decode(delimited.encoding_of(head), errors="replace")
    return re.split(r"\r\n?|\n", decoded.lstrip("\r\n"), maxsplit=1)[0]


def choose_columns(name: str, header: Sequence[str], options: Options) -> Columns:
    """Choose the columns that are read among the names of a header.

    Raises:
        errors.InputError: A named column is missing, or none or several could be meant.
    """
    text = _choose(name, header, options.text_column, (TEXT_COLUMNS,), "text", others=())
    label = source = part = None
    if options.labelled:
        label = _choose(name, header, options.label_column, (CLASS_COLUMNS, RATING_COLUMNS), "label", others=(text,))
        part = _only_one(header, PART_COLUMNS, others=(text, label))
        source = _only_one(header, {SOURCE_COLUMN}, others=(text, label))
    used = {text: "text", label: "label", source: "source, for slices", part: "official part"}
    roles = {column: used.get(column) or _unread(column, text, label) for column in header}
    keep = kept.chosen(options.keep, header, where=name)
    return Columns(text=text, label=label, source=source, part=part, roles=roles, kept=keep)


def _only_one(header: Sequence[str], names: Container[str], *, others: Sequence[str]) -> str | None:
    found = [column for column in header if plain_name(column) in names and column not in others]
    return found[0] if len(found) == 1 else None


def _unread(column: str, text: str, label: str | None) -> str:
    name = plain_name(column)
    if label is not None and name in CLASS_COLUMNS | RATING_COLUMNS:
        return f"not read: {label!r} is the label (--label-column chooses another one)"
    if name in TEXT_COLUMNS:
        return f"not read: {text!r} is the text (--text-column chooses another one)"
    return "not read"


def _choose(
    name: str,
    header: Sequence[str],
    wanted: str | None,
    tiers: Sequence[Container[str]],
    role: str,
    others: Sequence[str],
) -> str:
    kind = NoLabelColumn if role == "label" else errors.InputError
    if wanted is not None:
        if header.count(wanted) != 1:
            how = "" if wanted not in header else " once"
            raise kind(f"{name}: expected a column {wanted!r}{how}. Received columns: {_listing(header)}")
        return wanted
    for tier in tiers:
        found = [column for column in header if plain_name(column) in tier and column not in others]
        if len(found) == 1:
            return found[0]
        if found:
            break
    else:
        if role == "text" and len(header) == 1:
            return header[0]
        found = []
    fault = f"several could be meant: {', '.join(found)}" if found else "none has a usual name"
    if not found and any(len(column) > _SHOWN_CHARACTERS for column in header):
        fault += "; where the file has no header, columns are named 1, 2, ..."
    raise (errors.InputError if found else kind)(
        f"{name}: expected one {role} column, but {fault}. Say which with --{role}-column. "
        f"Received columns: {_listing(header)}"
    )


def _listing(header: Sequence[str]) -> str:
    """Name columns; those of a file without a header may be whole reviews."""
    return ", ".join(
        f"{column[:_SHOWN_CHARACTERS]}..." if len(column) > _SHOWN_CHARACTERS else column for column in header
    )


def part_of(name: str, *, beside: str = "") -> str:
    """Read the official part off a file's path: a folder, or a word of the file's name, that names one.

    Args:
        name: The path within the source.
        beside: The folder that a source stands in, or is: where the path names no part, it may.

    >>> part_of("aclImdb/test/pos/0_10.txt"), part_of("train-00000-of-00001.parquet"), part_of("reviews.csv")
    ('test', 'train', '')
    >>> part_of("split=dev/0.parquet"), part_of("pos/0_10.txt", beside="test")
    ('validation', 'test')
    """
    *folders, file = (folder.rpartition("=")[2] for folder in pathlib.PurePosixPath(name.lower()).parts)
    words = re.split(r"[^a-z]+", file.partition(".")[0])
    named = [word for word in (*reversed(folders), *words, beside.lower()) if word in PARTS]
    return PARTS[named[0]] if named else ""


def is_binary(head: bytes) -> bool:
    """Tell whether over a fiftieth of the bytes are control characters: texts may hold a stray NUL."""
    control = sum(head.count(byte) for byte in range(32) if byte not in b"\t\n\v\f\r\x1b")
    return control > 0.02 * len(head)
