"""What benchmarks measured: each writes its rows into ``results.json``, and ``docs/performance.md`` is made of them.

``python -m benchmarks.results`` writes the page anew.
"""

import dataclasses
import datetime
import json
import os
import pathlib
import platform
import re
import statistics
import sys
from collections.abc import Sequence
from typing import Any

import psutil

from shared import files, machine

FILE = pathlib.Path(__file__).with_name("results.json")
PAGE = pathlib.Path(__file__).parents[1] / "docs" / "performance.md"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Goal:
    """What is wanted of a value: at least, or with ``most`` at most, so much."""

    value: float
    most: bool = False

    def reached(self, value: float) -> bool:
        """Tell whether a value is good enough.

        >>> Goal(value=30, most=True).reached(31), Goal(value=200_000).reached(200_000)
        (False, True)
        """
        return value <= self.value if self.most else value >= self.value


def record(  # noqa: PLR0913
    name: str,
    repeats: Sequence[float],
    *,
    unit: str,
    goal: Goal | None = None,
    ratio: float | None = None,
    peer: str = "",
    processor_seconds: float | None = None,
    note: str = "",
    path: pathlib.Path = FILE,
) -> None:
    """Keep a row, in place of an earlier one of that name, and print it.

    Args:
        name: What was measured, in words; the page begins a section where the text before the first colon changes.
        repeats: One value for each time that it was measured; the row's value is their median.
        unit: Such as ``rows/s`` or ``s``.
        goal: What was wanted of the value, or of the ratio where there is one.
        ratio: Of the value to the peer's, above 1 where ours is better, of one run.
        peer: What it was compared with, and its version.
        processor_seconds: What the work took of all cores: on a machine that others use, too, it says more than time.
        note: What else a reader must know.
        path: The file of results.
    """
    value = statistics.median(repeats)
    row = {
        "name": name,
        "command": _command(),
        "value": value,
        "unit": unit,
        "repeats": list(repeats),
        "median": value,
        "goal": None if goal is None else {**dataclasses.asdict(goal), "reached": goal.reached(ratio or value)},
        "ratio": ratio,
        "peer": peer,
        "processor_seconds": processor_seconds,
        "machine": describe_machine(),
        "load": round(os.getloadavg()[0], 1),
        "date": datetime.date.today().isoformat(),
        "note": note,
    }
    rows = [each for each in read(path) if each["name"] != name]
    with files.atomic(path) as temporary:
        temporary.write_text(json.dumps([*rows, row], indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"{name}: {_shown(row)}", flush=True)


def read(path: pathlib.Path = FILE) -> list[dict[str, Any]]:
    """Return the rows in the order in which they were last measured."""
    return json.loads(path.read_text("utf-8")) if path.is_file() else []


def describe_machine() -> str:
    """Return processor, cores, memory, and the versions that decide speed."""
    text = machine.PROCESSOR.read_text() if machine.PROCESSOR.is_file() else ""
    found = re.search(r"model name\s*:\s*(.*)", text)
    memory = psutil.virtual_memory().total / 2**30
    versions = ", ".join(f"{name} {version}" for name, version in machine.installed(["numpy", "tensorflow"]).items())
    processor = found.group(1) if found else platform.machine()
    cores = f"{machine.usable_cores()} cores of {processor}, {memory:.0f} GiB"
    return f"{cores}, Python {platform.python_version()}, {versions}"


def _command() -> str:
    """Return how the running benchmark was started."""
    main = sys.modules["__main__"]
    found = getattr(main, "__spec__", None)
    name = sys.argv[0] if found is None else found.name
    return " ".join(["python -m", name, *sys.argv[1:]])


def page(rows: Sequence[dict[str, Any]]) -> str:
    """Return the page of these rows."""
    lines = [
        "# Performance",
        "",
        "Written by `python -m benchmarks.results` from `benchmarks/results.json`, which `make bench` fills; do not "
        "edit. Each value is the median of its repeats. Ratios are of one run, above 1 where fieldnets is faster. What "
        "was not reached says so. The load is how many processes wanted the cores: above their number, times and rates "
        "are those of a shared machine, and the seconds of processors say more.",
    ]
    sections: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        sections.setdefault(row["name"].partition(":")[0], []).append(row)
    for title, those in sections.items():
        lines += ["", f"## {title}", "", "| what | value | goal | processors | repeats, load, date | note |"]
        lines += ["|---|---|---|---|---|---|", *map(_line, those), ""]
        commands = dict.fromkeys(row["command"] for row in those)
        lines += [f"`{command}`  " for command in commands]
    machines = dict.fromkeys(row["machine"] for row in rows)
    lines += ["", "## Machines", "", *(f"- {each}" for each in machines), ""]
    if (PAGE.parent / "pictures" / "growth.svg").is_file():
        lines += ["![Time and memory against the number of rows](pictures/growth.svg)", ""]
    return "\n".join(lines)


def _line(row: dict[str, Any]) -> str:
    what = row["name"].partition(":")[2].strip() or row["name"]
    seconds = row["processor_seconds"]
    cells = [
        what,
        _shown(row),
        _wanted(row),
        "" if seconds is None else f"{seconds:,.1f} s",
        f"{len(row['repeats'])}, {row['load']}, {row['date']}",
        row["note"],
    ]
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _shown(row: dict[str, Any]) -> str:
    shown = f"{_number(row['value'])} {row['unit']}"
    return shown if row["ratio"] is None else f"{shown}; {row['ratio']:.2f} times {row['peer']}"


def _wanted(row: dict[str, Any]) -> str:
    goal = row["goal"]
    if goal is None:
        return ""
    of = f" {row['unit']}" if row["ratio"] is None else " times"
    sign = "at most" if goal["most"] else "at least"
    return f"{sign} {_number(goal['value'])}{of}: {'reached' if goal['reached'] else '**not reached**'}"


def _number(value: float) -> str:
    """Return a number with three digits that count.

    >>> _number(123456.7), _number(12.34), _number(0.01234)
    ('123,457', '12.3', '0.0123')
    """
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def main() -> None:
    files.write_text(PAGE, page(read()))
    print(PAGE)


if __name__ == "__main__":
    main()
