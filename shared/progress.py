"""Progress on standard error, where somebody looks: what is done, of how much, and when the rest will be."""

import contextlib
import pathlib
import sys
from collections.abc import Callable, Iterator, Sequence

import pyarrow.parquet
import rich.console
import rich.progress

_LINES = (".csv", ".tsv", ".jsonl", ".txt")
_READ_BYTES = 1 << 22


def counter() -> rich.progress.Progress:
    """Return a bar that shows nothing where nobody looks."""
    return rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TimeElapsedColumn(),
        rich.progress.TimeRemainingColumn(),
        console=rich.console.Console(file=sys.stderr),
        disable=not sys.stderr.isatty(),
    )


@contextlib.contextmanager
def rows(what: str, inputs: Sequence[pathlib.Path] = ()) -> Iterator[Callable[[int], None]]:
    """Show how many rows are done; give the function that is told of more.

    Args:
        what: What the rows are, and what is done with them.
        inputs: The files and folders that hold them, for the time that is left.
    """
    with counter() as bar:
        total = expected(inputs) if not bar.disable else None
        task = bar.add_task(what, total=total)
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            # The number of lines is a guess: a text may hold some.
            bar.update(task, completed=done, total=max(total, done) if total else None)

        yield advance


def expected(inputs: Sequence[pathlib.Path]) -> int | None:
    """Return about how many rows files hold: rows of Parquet, lines of text, files of folders; None where unknown.

    A text of several lines counts as several rows.
    """
    counts = [_count(path) for path in inputs]
    known = [count for count in counts if count is not None]
    return sum(known) if known and len(known) == len(counts) else None


def _count(path: pathlib.Path) -> int | None:
    if path.is_dir():
        return sum(child.is_file() and not child.name.startswith(".") for child in path.rglob("*"))
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            return int(pyarrow.parquet.read_metadata(path).num_rows)
        if suffix in _LINES:
            return _lines(path) - (suffix in (".csv", ".tsv"))
    except (OSError, ValueError, pyarrow.ArrowInvalid):
        return None
    return None


def _lines(path: pathlib.Path) -> int:
    count, last = 0, b"\n"
    with path.open("rb") as stream:
        while part := stream.read(_READ_BYTES):
            count += part.count(b"\n")
            last = part[-1:]
    return count + (last != b"\n")
