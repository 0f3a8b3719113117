"""What a verb returns, shown to a person as lines, lists and tables, or printed as JSON; and where it is shown."""

import contextlib
import io
import itertools
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO, cast

_LINE_CHARACTERS = 100
# Columns of a table that are narrower than this, on average, are not read but spelled.
_CELL_CHARACTERS = 9
_STREAMS = ("stdin", "stdout", "stderr")
# How a formula begins in a spreadsheet, with full-width signs too, and our own quotation marks before it. What is
# written as a number or a telephone number calculates nothing.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_PLAIN_NUMBER = re.compile(r"[+-][\d.,\s]*\d%?([eE][+-]?\d+)?")


class _Tolerant:
    """A stream that nobody needs to read: where writing fails, the work that is told of goes on."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write if that can be."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush if that can be."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def streams() -> Iterator[None]:
    """Give the block standard streams that can be written: closed ones lead nowhere, and what is lost fails nothing.

    A daemon's streams may be None, their numbers those of the next files that are opened; a pipe's reader may be gone;
    a disk behind a log may be full.
    """
    for number, name in enumerate(_STREAMS):
        if getattr(sys, name) is None:
            _lead_nowhere(number)
            setattr(sys, name, io.TextIOWrapper(io.FileIO(os.devnull, "w" if number else "r"), encoding="utf-8"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Names and texts hold characters that the encoding of a terminal may lack.
            stream.reconfigure(errors="backslashreplace")
    try:
        with contextlib.redirect_stderr(cast(TextIO, _Tolerant(sys.stderr))):
            yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            _settle(stream)


def _lead_nowhere(number: int) -> None:
    """Let a closed file descriptor lead to the null device; else the next file would get its number."""
    try:
        os.fstat(number)
    except OSError:
        opened = os.open(os.devnull, os.O_RDWR)
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)
        # Processes that are started have it, too.
        os.set_inheritable(number, True)


def _settle(stream: TextIO) -> None:
    """Flush; where that fails, let the rest lead nowhere, or the end of the process would fail on it again."""
    try:
        stream.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def print_text(text: str) -> None:
    """Print on standard output, at once.

    Raises:
        OSError: It cannot be written; BrokenPipeError where its reader is gone.
    """
    sys.stdout.write(text)
    sys.stdout.flush()


def text_of(result: Mapping[str, Any], *, as_json: bool) -> str:
    """Return what a verb returned as the lines that standard output shows.

    Raises:
        ValueError: It holds NaN or infinity and JSON was asked for.
    """
    if as_json:
        # Where the encoding lacks a character, JSON has an escape for it.
        escaped = str(sys.stdout.encoding).lower().replace("-", "") != "utf8"
        return json.dumps(result, indent=2, ensure_ascii=escaped, allow_nan=False) + "\n"
    if set(result) == {"text"}:
        # What is to be read by a program, such as a script.
        return str(result["text"])
    import rich.console

    # Where nobody looks (a file, a log) lines may be long; in a terminal, long cells are folded, never cut off.
    shown, encoding = sys.stdout.isatty(), sys.stdout.encoding or "utf-8"
    # Not into standard output: rich ends the process where the reader is gone.
    held = io.BytesIO()
    with io.TextIOWrapper(held, encoding=encoding, errors="backslashreplace") as text:
        console = rich.console.Console(file=text, force_terminal=shown, width=None if shown else 200)
        for key, value in result.items():
            if key != "exit_code" and value != []:
                _show(console, key, value)
        text.flush()
        return held.getvalue().decode(encoding)


def _show(console: Any, key: str, value: Any, indent: str = "") -> None:
    rows = _rows(value)
    if rows:
        table = _table(rows, title=None if key == "table" else key)
        if console.measure(table).minimum > console.width or len(rows[0]) * _CELL_CHARACTERS > console.width:
            _show_as_lines(console, key, rows, indent)
        else:
            console.print(table)
    elif isinstance(value, Mapping) and any(_is_nested(entry) for entry in value.values()):
        _print_line(console, f"{indent}{key}:")
        for name, entry in value.items():
            _show(console, name, entry, indent + "  ")
    elif isinstance(value, Mapping) and _are_texts(value) and len(_readable(value)) > _LINE_CHARACTERS:
        _print_line(console, f"{indent}{key}:")
        for name, entry in value.items():
            _print_line(console, f"{indent}  {name}: {entry}")
    elif isinstance(value, list) and not _fits_a_line(value):
        _print_line(console, f"{indent}{key}:")
        for entry in value:
            _print_line(console, f"{indent}  - {_readable(entry)}")
    else:
        _print_line(console, f"{indent}{key}: {_readable(value)}")


def _show_as_lines(console: Any, key: str, rows: Sequence[Mapping[str, Any]], indent: str) -> None:
    """Show a table that is wider than the terminal: each row behind its name, folded between words."""
    if key != "table":
        _print_line(console, f"{indent}{key}:")
    for row in rows:
        (_, name), *rest = row.items()
        told = ", ".join(f"{column} {_readable(value)}" for column, value in rest if value is not None)
        console.print(f"{indent}  {_readable(name)}: {told}", markup=False, highlight=False)


def _print_line(console: Any, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def _rows(value: Any) -> list[dict[str, Any]]:
    """Return the rows of what is best read as a table: a list of mappings, or a mapping of mappings that are alike."""
    if isinstance(value, list):
        return [dict(entry) for entry in value] if value and all(isinstance(entry, Mapping) for entry in value) else []
    if not (isinstance(value, Mapping) and value and all(isinstance(entry, Mapping) for entry in value.values())):
        return []
    if all(_is_interval(entry) for entry in value.values()):
        return [_interval_row(name, entry) for name, entry in value.items()]
    flat = {name: _flat(entry) for name, entry in value.items()}
    alike = len({tuple(entry) for entry in flat.values()}) == 1 and len(flat) > 1
    return [{"": name} | entry for name, entry in flat.items()] if alike else []


def _flat(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Put what nested mappings hold beside the rest.

    >>> _flat({"rows": 3, "classes": {"negative": 1, "positive": 2}})
    {'rows': 3, 'negative': 1, 'positive': 2}
    """
    nested = [value.items() if isinstance(value, Mapping) else [(name, value)] for name, value in mapping.items()]
    return dict(itertools.chain.from_iterable(nested))


def _table(rows: Sequence[Mapping[str, Any]], title: str | None) -> Any:
    import rich.table
    import rich.text

    table = rich.table.Table(title=title, title_justify="left")
    names = list(dict.fromkeys(itertools.chain.from_iterable(rows)))
    for name in names:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(rich.text.Text(_readable(row.get(name, ""))) for name in names))
    return table


def _interval_row(name: str, interval: Mapping[str, Any]) -> dict[str, str]:
    confidence = f"{100 * interval.get('confidence', 0.95):g} % interval"
    return {
        "metric": name,
        "value": f"{interval['value']:.4f}",
        confidence: f"{interval['low']:.4f} to {interval['high']:.4f}",
    }


def _is_interval(value: Any) -> bool:
    return isinstance(value, Mapping) and {"value", "low", "high"} <= set(value)


def _are_texts(value: Mapping[str, Any]) -> bool:
    return bool(value) and all(isinstance(entry, str) for entry in value.values())


def _is_nested(value: Any) -> bool:
    return isinstance(value, list | Mapping)


def _fits_a_line(values: list[Any]) -> bool:
    """Tell whether these are a few names or numbers, not sentences."""
    return len(_readable(values)) <= _LINE_CHARACTERS and not any(" " in str(value) for value in values)


def _readable(value: Any) -> str:
    """Return one line.

    >>> _readable({"accuracy": 0.91234567, "n": 32}), _readable(["length", "score"]), _readable(None)
    ('accuracy 0.9123, n 32', 'length, score', '')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_readable(entry)}" for name, entry in value.items())
    return ", ".join(map(_readable, value)) if isinstance(value, list) else str(value)


def inert(cell: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula: a text that begins as one gets a ' before it (OWASP).

    ``as_it_was`` takes it away again. Numbers stay, whether they are of a numeric column or written as text.
    https://owasp.org/www-community/attacks/CSV_Injection

    >>> inert("=cmd|' /C calc'!A0"), inert("-1,5"), inert(-1.5), inert("a=b"), inert("'=x")
    ("'=cmd|' /C calc'!A0", '-1,5', -1.5, 'a=b', "''=x")
    """
    if isinstance(cell, str) and _FORMULA.match(cell) and not _PLAIN_NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def inert_table(table: Any) -> Any:
    """Return a data frame of which no text is taken for a formula; columns of numbers are not looked at."""
    texts = [name for name in table.columns if table[name].dtype.kind == "O"]
    return table.assign(**{name: table[name].map(inert) for name in texts})


def as_it_was(cell: Any) -> Any:
    """Return what ``inert`` was given.

    >>> as_it_was(inert("@SUM(A1)")), as_it_was("'quoted'"), as_it_was(-2)
    ('@SUM(A1)', "'quoted'", -2)
    """
    return cell[1:] if isinstance(cell, str) and cell.startswith("'") and _FORMULA.match(cell) else cell
