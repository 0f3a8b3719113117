"""The list of runs for people: rows for a terminal, and one page with a link to every report."""

import base64
import hashlib
import os
import pathlib
import urllib.parse
from collections.abc import Sequence
from typing import Any

import jinja2

from shared import errors, files
from shared.evaluation import intervals
from shared.report import document, formatting
from shared.runs import folders

# Known again by it: another page of this name is not replaced.
GENERATOR = '<meta name="generator" content="fieldnets runs">'
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def row(run: folders.Run) -> dict[str, str]:
    """Return a run as the cells of a row, by column."""
    changed = f", {len(run.changed)} changed" if run.changed else ""
    return {
        "app": (run.app or "").replace("_", "-"),
        "run": run.name,
        "state": run.condition,
        "when": run.when.strftime("%Y-%m-%d %H:%M") if run.when else "",
        "preset": f"{run.preset}{changed}" if run.preset else "",
        "data": ", ".join(pathlib.PurePath(each).name or each for each in run.data),
        "metric": run.metric or "",
        "model": _with_bounds(run.value) if run.value else "",
        "best baseline": f"{run.baseline} {formatting.value(run.baseline_value)}" if run.baseline_value else "",
        "took": duration(run.seconds) if run.seconds is not None else "",
        "size": size(run.size_bytes),
    }


def _with_bounds(value: intervals.Interval) -> str:
    return f"{formatting.value(value)} ({formatting.bounds(value)})"


def duration(seconds: float) -> str:
    """Return a time as a person says it.

    >>> duration(8.4), duration(75), duration(7260)
    ('8 s', '1 min 15 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def size(count: float) -> str:
    """Return a number of bytes in the largest unit that leaves at least one.

    >>> size(900), size(36_000_000)
    ('900 B', '34.3 MiB')
    """
    place = 0
    while count >= 1024 and place < len(_UNITS) - 1:
        count, place = count / 1024, place + 1
    return f"{count:.1f} {_UNITS[place]}" if place else f"{count:.0f} B"


def write(runs: Sequence[folders.Run], path: pathlib.Path, *, searched: pathlib.Path) -> None:
    """Write the page; its links to the reports are relative to it.

    Raises:
        errors.InputError: At ``path`` lies a file that is no such page.
    """
    if path.exists() and GENERATOR not in path.read_text("utf-8", errors="replace"):
        raise errors.InputError(f"{path}: expected a new file, or a list of runs. Received: another file")
    files.write_text(path, render(runs, path.parent, searched=searched))


def render(runs: Sequence[folders.Run], folder: pathlib.Path, *, searched: pathlib.Path) -> str:
    """Return the page, which is to lie in ``folder``; equal runs give equal bytes."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(document.template), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    script = document.template("sorting.js") + document.template("runs.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = environment.get_template("runs.html.j2")
    lines = [{"cells": row(run), "order": _order(run), "report": _link(run.report, folder)} for run in runs]
    return page.render(lines=lines, script=script, digest=digest, searched=files.printable(searched), columns=_COLUMNS)


_COLUMNS = tuple(row(folders.Run(path=pathlib.Path(), name="", state="")))


def _order(run: folders.Run) -> dict[str, Any]:
    """Return what columns are sorted by where their text would sort otherwise."""
    value, other = run.value, run.baseline_value
    return {
        "model": value.value if value else None,
        "best baseline": other.value if other else None,
        "took": run.seconds,
        "size": run.size_bytes,
    }


def _link(report: pathlib.Path | None, folder: pathlib.Path) -> str | None:
    """Return the address of a report from a page in ``folder``."""
    if report is None:
        return None
    relative = pathlib.Path(os.path.relpath(report.resolve(), folder.resolve())).as_posix()
    return urllib.parse.quote(os.fsencode(relative))
