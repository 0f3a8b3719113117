"""Trials of a fault: counted, with the failures among them, and kept as figures.

``FIELDNETS_FAULTS=whole`` asks for the whole form, which ``make faults`` runs; else a few of each are tried.
``FIELDNETS_FAULTS_FIGURES`` names the file that gets a line for each test. ``python -m tests.faults.trials FILE``
prints them as the table of docs/reliability.md; of a test that was run again, the newest counts.
"""

import contextlib
import datetime
import json
import os
import pathlib
import sys
import time
from collections.abc import Iterator
from typing import Any

WHOLE = os.environ.get("FIELDNETS_FAULTS") == "whole"
_FIGURES = os.environ.get("FIELDNETS_FAULTS_FIGURES")
_SHOWN = 5


def count(bounded: int, whole: int) -> int:
    """Return how often to try."""
    return whole if WHOLE else bounded


class Trials:
    """What a test tried: each trial by itself, so that one failure does not end the others.

    Args:
        what: The fault, such as "kill".
        test: Which test.
    """

    def __init__(self, what: str, test: str) -> None:
        self.what, self._test = what, test
        self.number = 0
        self.failures: list[str] = []
        self._started = time.monotonic()

    @contextlib.contextmanager
    def one(self, name: object) -> Iterator[None]:
        """Try once; an error in the block is a failure."""
        self.number += 1
        try:
            yield
        except Exception as error:
            self.failures.append(f"{name}: {type(error).__name__}: {error}"[:2_000])

    def end(self) -> None:
        """Keep the figures, and fail where a trial did."""
        if _FIGURES and self.number:
            line = {
                "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
                "fault": self.what,
                "test": self._test,
                "trials": self.number,
                "failures": len(self.failures),
                "seconds": round(time.monotonic() - self._started, 1),
            }
            with pathlib.Path(_FIGURES).open("a") as stream:
                stream.write(json.dumps(line) + "\n")
        shown = "\n".join(self.failures[:_SHOWN])
        assert not self.failures, f"{len(self.failures)} of {self.number} trials failed:\n{shown}"


def table(lines: list[dict[str, Any]]) -> str:
    """Return the figures as a table: a row for each fault and test, all its cases together, and each fault's sum."""
    newest = {(line["fault"], line["test"]): line for line in lines}
    rows = [
        "| fault | what is tried | cases | trials | failures | seconds | date |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    for fault in sorted({fault for fault, _ in newest}):
        own = [line for (name, _), line in newest.items() if name == fault]
        for test in sorted({line["test"].partition("[")[0] for line in own}):
            cases = [line for line in own if line["test"].partition("[")[0] == test]
            rows.append(_row(fault, test.removeprefix("test_").replace("_", " "), cases))
        rows.append(_row(f"**{fault}**", "**all**", own))
    return "\n".join(rows)


def _row(fault: str, what: str, lines: list[dict[str, Any]]) -> str:
    trials, failures, seconds = (sum(line[name] for line in lines) for name in ("trials", "failures", "seconds"))
    newest = max(line["date"] for line in lines)
    return f"| {fault} | {what} | {len(lines)} | {trials:,} | {failures} | {seconds:,.0f} | {newest} |"


def main() -> None:
    """Print the table of a file of figures."""
    print(table([json.loads(line) for line in pathlib.Path(sys.argv[1]).read_text().splitlines()]))


if __name__ == "__main__":
    main()
