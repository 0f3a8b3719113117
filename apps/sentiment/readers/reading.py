"""What all readers of files share: rows, options, decoding, and the choice of columns."""

import dataclasses
import io
from collections.abc import Callable, Sequence
from typing import BinaryIO, NamedTuple

from shared import errors

TEXT_COLUMNS = (
    *("text", "review", "sentence", "tweet", "content", "comment", "body", "message", "phrase"),
    *("review_text", "reviewtext", "review_body", "review_content"),
)
CLASS_COLUMNS = ("label", "labels", "sentiment", "polarity", "airline_sentiment", "class", "target")
RATING_COLUMNS = ("stars", "star_rating", "rating", "score", "overall", "review_score")

HEAD_BYTES = 1 << 16

Opener = Callable[[], BinaryIO]

_SHOWN_CHARACTERS = 40


class NoLabelColumn(errors.InputError):
    """A table has no column of labels, though labels are wanted."""


class Row(NamedTuple):
    """One row of a file: ``number``, from 1, is the line it begins on, or its place in parquet."""

    number: int
    text: str | None
    label: str | None
    source: str = ""
    problem: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What the user said about columns, and whether labels are wanted."""

    text_column: str | None = None
    label_column: str | None = None
    labelled: bool = True


def byte_order_encoding(head: bytes) -> str:
    """Return UTF-16 for a file that begins with its byte order mark, or else UTF-8."""
    return "utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"


def text_stream(opener: Opener, *, encoding: str, newline: str) -> io.TextIOWrapper:
    """Open for reading text; undecodable bytes become lone surrogates, to be found and reported by row."""
    return io.TextIOWrapper(opener(), encoding=encoding, errors="surrogateescape", newline=newline)


def first_line(head: bytes) -> str:
    """Decode the first line that holds anything, for recognising a format."""
    return head.decode(byte_order_encoding(head), errors="replace").lstrip("\r\n").partition("\n")[0].rstrip("\r")


def choose_columns(name: str, header: Sequence[str], options: Options) -> tuple[str, str | None]:
    """Choose the text and the label column among the names of a header.

    Raises:
        errors.InputError: A named column is missing, or none or several could be meant.
    """
    text = _choose(name, header, options.text_column, (TEXT_COLUMNS,), "text", others=())
    if not options.labelled:
        return text, None
    return text, _choose(name, header, options.label_column, (CLASS_COLUMNS, RATING_COLUMNS), "label", others=(text,))


def _choose(
    name: str,
    header: Sequence[str],
    wanted: str | None,
    tiers: Sequence[Sequence[str]],
    role: str,
    others: Sequence[str],
) -> str:
    kind = NoLabelColumn if role == "label" else errors.InputError
    if wanted is not None:
        if wanted not in header:
            raise kind(f"{name}: expected a column {wanted!r}. Received columns: {_listing(header)}")
        return wanted
    for tier in tiers:
        found = [column for column in header if column.strip().casefold() in tier and column not in others]
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


def is_binary(head: bytes) -> bool:
    """Tell whether over a fiftieth of the bytes are control characters: texts may hold a stray NUL."""
    control = sum(head.count(byte) for byte in range(32) if byte not in b"\t\n\v\f\r\x1b")
    return control > 0.02 * len(head)
