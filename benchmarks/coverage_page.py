"""The results of `benchmarks.coverage`: kept in ``coverage.json``, kind by kind, and shown in ``docs/intervals.md``."""

import json
import pathlib
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from shared import files

Row: TypeAlias = dict[str, Any]
FILE: Final = pathlib.Path(__file__).with_name("coverage.json")
PAGE: Final = pathlib.Path(__file__).parents[1] / "docs" / "intervals.md"
BEGIN, END = "<!-- written by python -m benchmarks.coverage --page -->", "<!-- until here -->"
LEAST, MOST = 0.93, 0.97
# Of fewer data sets chance decides: they are shown and not counted.
FEWEST_SETS = 100


def has(name: str) -> bool:
    """Tell whether a kind of data sets has results."""
    return name in _results()


def keep(name: str, rows: list[Row]) -> None:
    """Keep the results of a kind, in place of earlier ones."""
    files.write_json(FILE, {**_results(), name: rows})


def table(*, only: str = "") -> Iterator[str]:
    """Yield the table as Markdown, of the kinds whose name has ``only`` in it; what is outside of the goal is bold."""
    yield "| data sets | number | true value | sets | percentiles | suite | mean width | no interval | mostly by |"
    yield "|---|---|---:|---:|---:|---:|---:|---:|---|"
    for name, rows in _results().items():
        yield from (_line(name, row) for row in rows if only in name)


def summary() -> str:
    """Return in a sentence how many numbers are held as often as is said."""
    every = [row for rows in _results().values() for row in rows]
    shares = [round(row["suite"], 3) for row in every if row["sets"] >= FEWEST_SETS]
    if not shares:
        return f"No number has {FEWEST_SETS} data sets yet."
    below, above = (sum(each) for each in ([s < LEAST for s in shares], [s > MOST for s in shares]))
    return (
        f"{len(shares) - below - above} of {len(shares)} numbers are held in {LEAST} to {MOST} of their data sets, "
        f"{below} in fewer ({min(shares):.3f} at least), {above} in more; those are bold. "
        f"{len(every) - len(shares)} numbers of fewer than {FEWEST_SETS} data sets are not counted. "
        "In brackets: the exact coverage of Wilson's interval there."
    )


def write() -> None:
    """Write the table into the page."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    lines = [BEGIN, "", summary(), "", *table(), "", END]
    PAGE.write_text(before + "\n".join(lines) + rest.partition(END)[2], encoding="utf-8")


def _line(name: str, row: Row) -> str:
    share = f"{row['suite']:.3f}"
    if not LEAST <= round(row["suite"], 3) <= MOST:
        share = f"**{share}**"
    if row["exact"] is not None:
        share += f" ({row['exact']:.3f})"
    return (
        f"| {name} | {row['number']} | {row['truth']:.3f} | {row['sets']} | {row['percentiles']:.3f} | {share} "
        f"| {row['width']:.3f} | {row['refused']} | {row['method']} |"
    )


def _results() -> dict[str, list[Row]]:
    return dict(json.loads(FILE.read_text(encoding="utf-8"))) if FILE.exists() else {}


if __name__ == "__main__":
    write()
