"""Verdicts meet the transactions they are on: by id however it is written, by content where there are no ids."""

import concurrent.futures
import dataclasses
import pathlib

import numpy as np
import pandas as pd
import pytest

from apps.fraud_detection import feedback
from apps.fraud_detection import run as loaded_run
from apps.fraud_detection.transactions import Transactions
from shared import errors


def record(folder: pathlib.Path, labels: pathlib.Path, *, id_column: str | None = "id") -> feedback.Recorded:
    return feedback.record(folder, labels, id_column=id_column, label_column=None)


def without_ids(found: Transactions) -> Transactions:
    numbers = np.arange(1, len(found) + 1)
    return dataclasses.replace(found, ids=numbers, schema=dataclasses.replace(found.schema, id=None))


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_ids_that_became_floats_meet_whole_numbers(suffix: str, booked: Transactions, tmp_path: pathlib.Path) -> None:
    some = np.flatnonzero(booked.labels == 0)[:4]
    table = pd.DataFrame({"id": booked.ids[some].astype(float), "verdict": 1})
    path = tmp_path / f"verdicts.{suffix}"
    _ = table.to_parquet(path) if suffix == "parquet" else table.to_csv(path, index=False)
    record(tmp_path, path)
    found, counts = feedback.apply(tmp_path, booked)
    assert counts == {"verdicts": 4, "verdicts_not_in_the_data": 0}
    assert np.flatnonzero(found.labels != booked.labels).tolist() == some.tolist()


def test_verdicts_on_no_transaction_are_counted_and_named(
    booked: Transactions, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "v.csv").write_text(f"id,verdict\nnope1,1\n{booked.ids[0]},0\nnope2,0\n")
    record(tmp_path, tmp_path / "v.csv")
    _, counts = feedback.apply(tmp_path, booked)
    assert counts == {"verdicts": 1, "verdicts_not_in_the_data": 2}
    assert "2 of 3 verdicts are on no transaction of the data, such as nope1, nope2" in caplog.text


@pytest.mark.parametrize("column", ["row", "id"])
def test_numbers_of_rows_are_refused_where_transactions_have_no_ids(column: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "v.csv").write_text(f"{column},verdict\n1,fraud\n2,fraud\n")
    with pytest.raises(errors.InputError, match="the number of a row is another transaction in another file"):
        record(tmp_path, tmp_path / "v.csv", id_column=None)
    assert not (tmp_path / feedback.NAME).exists()


def test_without_ids_a_verdict_finds_its_transaction_in_whatever_file_it_stands(
    booked: Transactions, tmp_path: pathlib.Path
) -> None:
    day = without_ids(booked.take(np.arange(1_000, 1_100)))
    genuine = np.flatnonzero(day.labels == 0)[:20]
    table = pd.DataFrame({"row": genuine + 1, "transaction_id": feedback.identities(day)[genuine], "verdict": 1})
    table.to_csv(tmp_path / "v.csv", index=False)
    record(tmp_path, tmp_path / "v.csv", id_column=None)
    # The same rows later in a longer file, whose cards are written as text.
    longer = without_ids(booked.take(np.arange(500, 2_000)))
    cards = {role: values.astype(str).astype(object) for role, values in longer.entities.items()}
    found, counts = feedback.apply(tmp_path, dataclasses.replace(longer, entities=cards))
    assert counts["verdicts"] == 20
    assert np.flatnonzero(found.labels != longer.labels).tolist() == (genuine + 500).tolist()


def test_calls_at_the_same_time_lose_nothing(tmp_path: pathlib.Path) -> None:
    for number in range(4):
        ids = range(number * 100_000, number * 100_000 + 20_000)
        pd.DataFrame({"id": ids, "verdict": 1}).to_parquet(tmp_path / f"v{number}.parquet")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: record(tmp_path, tmp_path / f"v{number}.parquet"), range(4)))
    assert len(feedback.load(tmp_path)) == 80_000


def test_rows_that_an_update_learned_are_known_again_with_other_labels_and_ids(
    booked: Transactions, tmp_path: pathlib.Path
) -> None:
    assert not loaded_run.learned_among(tmp_path, booked).any()
    loaded_run.add_learned(tmp_path, booked.row_hashes()[10:20])
    loaded_run.add_learned(tmp_path, booked.row_hashes()[15:30])
    other = dataclasses.replace(without_ids(booked), labels=1 - booked.labels)
    assert np.flatnonzero(loaded_run.learned_among(tmp_path, other)).tolist() == list(range(10, 30))


def test_a_model_that_was_replaced_without_a_record_is_not_evaluated(
    booked: Transactions, tmp_path: pathlib.Path
) -> None:
    (tmp_path / loaded_run.CHAMPIONS / "1").mkdir(parents=True)
    with pytest.raises(errors.InputError, match="train anew to evaluate"):
        loaded_run.learned_among(tmp_path, booked)
