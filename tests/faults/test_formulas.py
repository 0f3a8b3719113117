"""Texts of the input that a spreadsheet would calculate are inert in every CSV, and numbers stay numbers."""

import csv
import pathlib

import numpy as np
import pandas as pd
import pytest

from apps.fraud_detection import feedback
from shared import batch, printing, splits
from shared.sources import quarantine
from shared.splits import parts

FORMULAS = ["=cmd|' /C calc'!A0", "+1+cmd|x", "-2+3", "@SUM(1)", "\t=1", "\r=1", "\n=1", "＝1", "'=1", "=1,2"]
PLAIN = ["a=b", "'quoted'", "", "-1.5", "+4", "-1,5", "-3e-7", "+49 170 123", "x", "né"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_gets_a_mark_that_can_be_taken_away(text: str) -> None:
    assert printing.inert(text) == f"'{text}"
    assert printing.as_it_was(printing.inert(text)) == text


@pytest.mark.parametrize("text", [*PLAIN, -1.5, 3, None, True])
def test_what_is_no_formula_stays(text: object) -> None:
    assert printing.inert(text) is text
    assert printing.as_it_was(text) is text


def cells(path: pathlib.Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as stream:
        return [cell for row in csv.reader(stream) for cell in row]


def live(path: pathlib.Path) -> list[str]:
    return [cell for cell in cells(path) if cell in FORMULAS and cell != "'=1"]


def test_predictions_in_csv_are_inert_and_in_parquet_as_they_were(tmp_path: pathlib.Path) -> None:
    texts = [*FORMULAS, *PLAIN[:-1]]
    numbers = -np.arange(float(len(texts)))
    chunk = pd.DataFrame({"file": texts, "row": range(len(texts)), "score": numbers})
    for suffix in (".csv", ".parquet"):
        batch.predict([chunk], lambda given: given, output=tmp_path / f"out{suffix}", plan={"model": "m"})
    assert not live(tmp_path / "out.csv")
    read = pd.read_csv(tmp_path / "out.csv", keep_default_na=False, dtype={"file": str})
    assert [printing.as_it_was(each) for each in read["file"]] == texts
    np.testing.assert_array_equal(read["score"], numbers)
    assert pd.read_parquet(tmp_path / "out.parquet")["file"].tolist() == texts


def test_the_quarantine_is_inert(tmp_path: pathlib.Path) -> None:
    with quarantine.opened() as aside:
        for text in FORMULAS:
            aside.add(quarantine.BadRow(text, -3, f"bad {text}", text))
        aside.write(tmp_path / "quarantine.csv")
    assert not live(tmp_path / "quarantine.csv")
    assert cells(tmp_path / "quarantine.csv").count("-3") == len(FORMULAS)


def test_a_split_that_was_written_inert_names_the_same_rows(tmp_path: pathlib.Path) -> None:
    table = pd.DataFrame({"id": FORMULAS[:4], "part": ["train", "train", "validation", "test"]})
    printing.inert_table(table).to_csv(tmp_path / "split.csv", index=False)
    assert not live(tmp_path / "split.csv")
    found = parts.read_csv(tmp_path / "split.csv", rows=4, identities=FORMULAS[:4])
    assert found.tolist() == table["part"].tolist()
    assert set(found) == set(splits.PARTS)


def test_a_queue_that_comes_back_has_the_ids_that_went_out(tmp_path: pathlib.Path) -> None:
    queue = printing.inert_table(pd.DataFrame({"transaction_id": ["=1+1", "t7"], "label": [1, 0]}))
    queue.to_csv(tmp_path / "queue.csv", index=False)
    assert not live(tmp_path / "queue.csv")
    read = feedback.read(tmp_path / "queue.csv", id_column=None, label_column=None)
    assert read["id"].tolist() == ["=1+1", "t7"]
