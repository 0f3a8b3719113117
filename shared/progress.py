"""Progress on standard error: a bar where somebody looks, and a line in the log now and then where nobody does."""

import contextlib
import contextvars
import logging
import pathlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pyarrow.parquet
import rich.console
import rich.progress

_LINES = (".csv", ".tsv", ".jsonl", ".txt")
_READ_BYTES = 1 << 22
# Between two lines of the log; work that is over sooner has none.
LINE_SECONDS = 30.0
_WANTED: contextvars.ContextVar[bool | None] = contextvars.ContextVar("wanted", default=None)

log = logging.getLogger("fieldnets")


@contextlib.contextmanager
def wanted(shown: bool) -> Iterator[None]:
    """Let a program say whether bars are drawn in the block; otherwise they are where standard error is a terminal."""
    token = _WANTED.set(shown)
    try:
        yield
    finally:
        _WANTED.reset(token)


def is_shown() -> bool:
    """Tell whether bars are drawn."""
    said = _WANTED.get()
    return sys.stderr.isatty() if said is None else said


def console() -> rich.console.Console:
    """Return where bars are drawn: standard error, or the notebook's cell."""
    asked = rich.console.Console()
    return asked if asked.is_jupyter else rich.console.Console(file=sys.stderr)


@contextlib.contextmanager
def heartbeat(what: str) -> Iterator[None]:
    """Say in the log every `LINE_SECONDS` that a work without rows to count goes on; nothing where bars are drawn."""
    ended = threading.Event()
    began = time.monotonic()

    def beat() -> None:
        while not ended.wait(LINE_SECONDS):
            log.info("%s: at work for %.0f s", what, time.monotonic() - began)

    thread = threading.Thread(target=beat, daemon=True)
    if not is_shown():
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if thread.ident is not None:
            thread.join()


class Lines:
    """Say in the log how far a work is, at intervals, where no bar is drawn.

    >>> clock = iter([0.0, 10.0, 31.0]).__next__
    >>> lines = Lines("texts scored", clock=clock)
    >>> lines.line(100), lines.line(310, total=620)
    ('', 'texts scored: 310 of 620 (50 %), 31 s; about 31 s more')
    """

    def __init__(self, what: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Start the clock."""
        self._what = what
        self._clock = clock
        self._began = self._last = clock()

    def tell(self, done: int, total: float | None = None) -> None:
        """Log a line where it is time."""
        if not is_shown() and (said := self.line(done, total)):
            log.info("%s", said)

    def line(self, done: int, total: float | None = None) -> str:
        """Return the line; "" before it is time."""
        now = self._clock()
        if now - self._last < LINE_SECONDS or not done:
            return ""
        self._last, seconds = now, now - self._began
        if not total:
            return f"{self._what}: {done:,}, {seconds:.0f} s"
        left = seconds * max(total - done, 0) / done
        share = f"{done:,} of {total:,.0f} ({100 * done / total:.0f} %)"
        return f"{self._what}: {share}, {seconds:.0f} s; about {left:.0f} s more"


def counter() -> rich.progress.Progress:
    """Return a bar that shows nothing where nobody looks."""
    return rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TimeElapsedColumn(),
        rich.progress.TimeRemainingColumn(),
        console=console(),
        disable=not is_shown(),
    )


@contextlib.contextmanager
def rows(what: str, inputs: Sequence[pathlib.Path] = ()) -> Iterator[Callable[[int], None]]:
    """Show how many rows are done; give the function that is told of more.

    Args:
        what: What the rows are, and what is done with them.
        inputs: The files and folders that hold them, for the time that is left.
    """
    with counter() as bar:
        # A file is read through for its lines only where a bar shows them.
        total = None if bar.disable else expected(inputs)
        task = bar.add_task(what, total=total)
        lines, done = Lines(what), 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            # The number of lines is a guess: a text may hold some.
            bar.update(task, completed=done, total=max(total, done) if total else None)
            lines.tell(done, total)

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
