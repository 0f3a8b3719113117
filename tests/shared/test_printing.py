"""What a verb returns is printed so that a person can read it."""

import io
import json
import re
import sys

import pytest

from shared import printing


def shown(capsys: pytest.CaptureFixture[str], **result: object) -> list[str]:
    printing.print_text(printing.text_of(result, as_json=False))
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def cells(lines: list[str]) -> list[list[str]]:
    """The cells of a table's rows, without its frame."""
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]


def test_json_is_the_result_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    result = {"rows": [{"a": None, "b": 0.123456789}], "exit_code": 3, "notes": []}
    printing.print_text(printing.text_of(result, as_json=True))
    assert json.loads(capsys.readouterr().out) == result


def test_numbers_are_short_and_truth_is_yes_or_no(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, drift=False, validation={"accuracy": 0.66666666, "n": 24}, drifted=["length", "score"])
    assert lines == ["drift: no", "validation: accuracy 0.6667, n 24", "drifted: length, score"]


def test_sentences_stand_on_lines_of_their_own_and_an_empty_list_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, notes=["read as: 0 = negative, 1 = positive", "a [red] film"], warnings=[], exit_code=0)
    assert lines == ["notes:", "  - read as: 0 = negative, 1 = positive", "  - a [red] film"]


def test_a_long_mapping_of_texts_has_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    roles = {f"column_{number}": "feature: number" for number in range(9)}
    assert shown(capsys, columns=roles)[:2] == ["columns:", "  column_0: feature: number"]
    assert shown(capsys, columns={"a": "label", "b": "time"}) == ["columns: a label, b time"]


def test_a_list_of_mappings_is_a_table_and_what_is_missing_is_blank(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, columns=[{"name": "length", "psi": 0.25, "ks": None}, {"name": "[b]", "n": 3}])
    assert cells(lines) == [["length", "0.25", "", ""], ["[b]", "", "", "3"]]


def test_mappings_that_are_alike_are_a_table_with_their_names_first(capsys: pytest.CaptureFixture[str]) -> None:
    part = {"rows": 3, "classes": {"negative": 1, "positive": 2}}
    lines = shown(capsys, split={"unit": "film", "counts": {"train": part, "test": part}})
    assert lines[:2] == ["split:", "  unit: film"]
    assert cells(lines) == [["train", "3", "1", "2"], ["test", "3", "1", "2"]]


def test_a_table_that_a_terminal_cannot_hold_is_told_row_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        encoding = "utf-8"

        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "80")
    rows = [{"name": f"column {each}", **{f"statistic_{number}": number for number in range(12)}} for each in range(2)]
    lines = [line.rstrip() for line in printing.text_of({"columns": rows}, as_json=False).splitlines()]
    assert lines[:2] == ["columns:", "  column 0: statistic_0 0, statistic_1 1, statistic_2 2, statistic_3 3,"]
    assert max(map(len, lines)) <= 80
    narrow = printing.text_of({"columns": [{"name": "a", "rows": 1}]}, as_json=False)
    assert "┃ name ┃ rows ┃" in re.sub(r"\x1b\[[0-9;]*m", "", narrow)
