"""The figures of `make faults`: the newest of each test counts, and a failure is never lost in a sum."""

import pytest

from tests.faults import trials


def line(test: str, number: int, failures: int = 0, date: str = "2026-11-30") -> dict[str, object]:
    return {"date": date, "fault": "kill", "test": test, "trials": number, "failures": failures, "seconds": 1.0}


def test_cases_are_summed_and_a_test_that_was_run_again_counts_once() -> None:
    lines = [line("test_a_b[x]", 9, 9), line("test_a_b[x]", 1_000), line("test_a_b[y]", 20, 1, date="2026-12-01")]
    rows = trials.table(lines).splitlines()[2:]
    assert rows == [
        "| kill | a b | 2 | 1,020 | 1 | 2 | 2026-12-01 |",
        "| **kill** | **all** | 2 | 1,020 | 1 | 2 | 2026-12-01 |",
    ]


def test_one_failure_does_not_end_the_others_and_all_are_counted() -> None:
    tried = trials.Trials("kill", "test_something")
    for number in range(4):
        with tried.one(number):
            assert number % 2, "an even one"
    assert (tried.number, len(tried.failures)) == (4, 2)
    with pytest.raises(AssertionError, match="2 of 4 trials failed:\n0: AssertionError: an even one"):
        tried.end()
