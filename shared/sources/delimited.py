"""Delimited text (csv, tsv): its encoding, and records whose quotation marks are proven to be closed.

A reader that takes ``"great stuff`` (opened, never closed) for the beginning of a long cell merges rows without a word.
Here such a row is a problem with a line, and the number of records can be proven apart from the reader that is used.
"""

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

import numpy as np

from shared import errors

Opener = Callable[[], BinaryIO]

UTF8 = "utf-8-sig"
DELIMITERS = ",;\t|"
_BLOCK_BYTES = 1 << 22
# One cell of more characters than this is taken for a quotation mark that is not closed.
_LONGEST_CELL = 1 << 24


class Record(NamedTuple):
    """One record of a delimited file.

    Attributes:
        line: The line on which it begins, from 1.
        lines: How many lines it spans.
        fields: Its cells; of a record with a problem its first line cut at every delimiter, quotation marks kept.
        problem: Why its cells cannot be trusted; "" where nothing is known against them.
    """

    line: int
    lines: int
    fields: list[str]
    problem: str = ""


def encoding_of(head: bytes) -> str:
    """Return the encoding that the first bytes of a text say, by a byte order mark or the zeros of UTF-16; else UTF-8.

    >>> encoding_of(b"a,b"), encoding_of("a,b".encode("utf-16")), encoding_of("a,b".encode("utf-16-le"))
    ('utf-8-sig', 'utf-16', 'utf-16-le')
    """
    if head.startswith((b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")):
        return "utf-32"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    even, odd = head[0:512:2], head[1:512:2]
    if len(odd) > 1 and even.count(0) * 8 < len(even) < 2 * odd.count(0):
        return "utf-16-le"
    if len(odd) > 1 and odd.count(0) * 8 < len(odd) < 2 * even.count(0):
        return "utf-16-be"
    return UTF8


def delimiter_of(line: str, *, among: str = DELIMITERS) -> str:
    """Return the delimiter that occurs most often in a header, outside quotation marks; the first where none does.

    >>> delimiter_of('id;"a, b, c";label'), delimiter_of("text")
    (';', ',')
    """
    bare = re.sub(r'"[^"]*"', "", line)
    return max(among, key=bare.count)


def text_lines(opener: Opener, *, encoding: str, errors: str = "strict") -> Iterator[str]:
    """Yield the lines of a text with their ends, whichever of CR, LF and CRLF these are."""
    with io.TextIOWrapper(opener(), encoding=encoding, errors=errors, newline="") as stream:
        yield from stream


def records(
    lines: Iterable[str],
    *,
    delimiter: str,
    quoted: bool = True,
    is_row: Callable[[list[str]], bool] = lambda _fields: True,
) -> Iterator[Record]:
    r"""Cut lines into records; empty lines are none.

    A record whose quotation mark is not closed where a cell may end is a problem, and ends with its first line, so
    that the others survive. A record that spans lines each of which, cut at every delimiter, is a row of its own width
    is a problem, too: either its cell holds line breaks, or a mark in one row meets a mark in another one.

    Args:
        lines: With their ends, as ``text_lines`` gives them.
        delimiter: One letter.
        quoted: Whether quotation marks have a meaning; else they are text.
        is_row: Tells of the cells of one line whether they could be a row, where its width says so.

    >>> [record.fields for record in records(["a,b\n", '1,"x, y"\n'], delimiter=",")]
    [['a', 'b'], ['1', 'x, y']]
    >>> [bool(record.problem) for record in records(['1,"m 5\n', '2,"m 6\n', "3,m\n"], delimiter=",")]
    [True, True, False]
    """
    csv.field_size_limit(_LONGEST_CELL)
    feed = _Feed(lines)
    reader = csv.reader(feed, delimiter=delimiter, strict=True)
    while (line := feed.plain()) is not None:
        # Most lines hold no mark: to cut them is several times faster than a parser called for each.
        if not quoted or '"' not in line:
            feed.before += 1
            if bare := line.rstrip("\r\n"):
                yield Record(feed.before, 1, bare.split(delimiter))
            continue
        feed.again.append(line)
        try:
            fields = next(reader)
        except csv.Error as error:
            line, first = feed.give_back()
            yield Record(first, 1, _cut(line, delimiter), f"a quotation mark is not closed ({error})")
            reader = csv.reader(feed, delimiter=delimiter, strict=True)
        else:
            held, first = feed.take()
            merged = len(held) > 1 and _are_rows(held, delimiter, len(fields), is_row)
            yield Record(first, len(held), fields, _MERGED.format(len(held)) if merged else "")


_MERGED = "a quotation mark may not be closed: {} lines, each of them a whole row, make one"


def prove(opener: Opener, *, delimiter: str, encoding: str, where: str) -> int:
    """Return the number of records below the header, each proven to be whole: a second count beside a fast reader's.

    Args:
        opener: Opens the file, decompressed.
        delimiter: One letter.
        encoding: As ``encoding_of`` returns it.
        where: The file, for the message.

    Raises:
        errors.InputError: A quotation mark is not closed; the message names the row, from 1 below the header.
    """
    plain = _plain_lines(opener, delimiter) if encoding == UTF8 else None
    if plain is not None:
        return max(plain - 1, 0)
    # In UTF-8 no byte of a longer character is a delimiter, mark or line end: decoding is for others only.
    lines = text_lines(opener, encoding="latin-1" if encoding == UTF8 else encoding)
    number = -1
    for number, record in enumerate(records(lines, delimiter=delimiter)):
        if record.problem:
            raise errors.InputError(
                f"{where}: row {number}, line {record.line}: expected quotation marks that are closed where a cell "
                f"ends (a mark inside a cell is written twice). Received: {record.problem}: "
                f"{delimiter.join(record.fields)[:80]!r}"
            )
    return max(number, 0)


def check_encoding(opener: Opener, *, encoding: str, where: str) -> None:
    """Refuse a text that is not in the encoding.

    Raises:
        errors.InputError: It names the line and the bytes.
    """
    with opener() as stream:
        # Lines of UTF-16 cannot be told apart before they are decoded.
        whole = encoding != UTF8
        pieces: Iterable[bytes] = [stream.read()] if whole else stream
        for number, line in enumerate(pieces, start=1):
            try:
                line.decode(encoding if whole else "utf-8")
            except UnicodeDecodeError as error:
                around = line[max(error.start - 20, 0) : error.end + 20]
                place = "" if whole else f"line {number}, "
                name = encoding.removesuffix("-sig").upper()
                raise errors.InputError(
                    f"{where}: {place}byte {error.start + 1}: expected text in {name}. "
                    f"Received: {around!r}. Save the file as UTF-8; if it came from Windows: "
                    f"iconv -f cp1252 -t utf-8 OLD > NEW"
                ) from None


def is_utf8(opener: Opener) -> bool:
    """Tell whether a file is UTF-8 to its end."""
    try:
        check_encoding(opener, encoding=UTF8, where="")
    except errors.InputError:
        return False
    return True


class _Feed:
    """Lines for csv.reader, which reads no further than the record it is at: the lines of that record are held.

    Attributes:
        again: Lines to give before others, the next one last.
        before: How many lines stand before the record.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self.again: list[str] = []
        self.before = 0
        self._lines = iter(lines)
        self._held: list[str] = []

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        line = self.again.pop() if self.again else next(self._lines)
        self._held.append(line)
        return line

    def plain(self) -> str | None:
        """Return the next line, which is not held; None after the last one."""
        return self.again.pop() if self.again else next(self._lines, None)

    def take(self) -> tuple[list[str], int]:
        """Return the lines of the record that was read and the number of its first one, and go on to the next."""
        held, first = self._held, self.before + 1
        self.before += len(held)
        self._held = []
        return held, first

    def give_back(self) -> tuple[str, int]:
        """Return the first line of a broken record and its number; the lines after it will be read again."""
        first, *rest = self._held
        self.again.extend(reversed(rest))
        self._held = []
        self.before += 1
        return first, self.before


def _are_rows(lines: Sequence[str], delimiter: str, width: int, is_row: Callable[[list[str]], bool]) -> bool:
    cut = [_cut(line, delimiter) for line in lines]
    return width > 1 and all(len(fields) == width and is_row(fields) for fields in cut)


def _cut(line: str, delimiter: str) -> list[str]:
    return line.rstrip("\r\n").split(delimiter)


def _plain_lines(opener: Opener, delimiter: str) -> int | None:
    """Return the number of lines that are not empty, where each is one record beyond doubt; else None.

    Many times faster than reading the records one by one, which is left for files that need it.
    """
    count, rest = 0, b""
    with opener() as stream:
        blocks = iter(lambda: stream.read(_BLOCK_BYTES), b"")
        for number, block in enumerate(blocks):
            whole, newline, rest = (rest + (block.removeprefix(codecs.BOM_UTF8) if number == 0 else block)).rpartition(
                b"\n"
            )
            if len(rest) > _LONGEST_CELL or not _are_plain(whole + newline, delimiter):
                return None
            count += _filled_lines(whole + newline)
    if not _are_plain(rest + b"\n", delimiter):
        return None
    return count + _filled_lines(rest)


def _are_plain(lines: bytes, delimiter: str) -> bool:
    """Tell whether in whole lines, each with its line feed, no cell spans several and no mark is out of place."""
    if b"\r" in lines and lines.count(b"\r") != lines.count(b"\r\n"):
        return False
    if b'"' not in lines:
        return True
    letters = np.frombuffer(lines, np.uint8)
    marks = np.flatnonzero(letters == ord('"'))
    if len(marks) % 2:
        return False
    opening, closing = marks[0::2], marks[1::2]
    # Of a doubled mark the first seems to close the cell and the second to open it again.
    doubled = closing[:-1] + 1 == opening[1:]
    begins = (opening == 0) | np.isin(letters[opening - 1], [ord(delimiter), ord("\n")])
    ends = np.isin(letters[closing + 1], [ord(delimiter), ord("\n"), ord("\r")])
    if not (begins[:1].all() and (begins[1:] | doubled).all() and (ends[:-1] | doubled).all() and ends[-1:].all()):
        return False
    line_ends = np.flatnonzero(letters == ord("\n"))
    return not (np.searchsorted(marks, line_ends) % 2).any()


def _filled_lines(lines: bytes) -> int:
    if lines.startswith((b"\n", b"\r")) or b"\n\n" in lines or b"\n\r" in lines:
        return sum(1 for line in lines.split(b"\n") if line.strip(b"\r"))
    return lines.count(b"\n") + (not lines.endswith(b"\n") and bool(lines))
