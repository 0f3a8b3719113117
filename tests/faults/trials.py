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
        if _FIGURES:
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
    """Return the figures as a table, a row for each fault and test, and one for each fault's sum."""
    newest = {(line["fault"], line["test"]): line for line in lines}
    rows = ["| fault | what is tried | trials | failures | seconds | date |", "|---|---|---:|---:|---:|---|"]
    for fault in sorted({fault for fault, _ in newest}):
        own = [line for (name, _), line in sorted(newest.items()) if name == fault]
        for line in own:
            words = line["test"].removeprefix("test_").replace("_", " ")
            rows.append(
                f"| {fault} | {words} | {line['trials']:,} | {line['failures']} | {line['seconds']:.0f} "
                f"| {line['date']} |"
            )
        sums = [sum(line[name] for line in own) for name in ("trials", "failures", "seconds")]
        rows.append(f"| **{fault}** | **all** | **{sums[0]:,}** | **{sums[1]}** | **{sums[2]:.0f}** | |")
    return "\n".join(rows)


def main() -> None:
    """Print the table of a file of figures."""
    print(table([json.loads(line) for line in pathlib.Path(sys.argv[1]).read_text().splitlines()]))


if __name__ == "__main__":
    main()
