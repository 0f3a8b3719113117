"""One transaction at a time gives what a file gives, bit for bit."""

import dataclasses
import pathlib
import types
from typing import Any

import numpy as np
import pytest

from apps.fraud_detection import features, inputs, online, preprocessing, stores
from apps.fraud_detection.transactions import Transactions
from shared import errors


def make_store(kind: str, folder: pathlib.Path, request: pytest.FixtureRequest) -> stores.Store:
    if kind == "redis":
        return stores.RedisStore(request.getfixturevalue("redis_client"))
    return stores.SqliteStore(folder / "state.db" if kind == "file" else None)


def make_scorer(booked: Transactions, store: stores.Store, *, sequence_length: int = 0) -> online.Scorer:
    found = inputs.learn(booked, np.arange(len(booked)), sequence_length=sequence_length)
    bundle: Any = types.SimpleNamespace(extra=lambda _name: found.to_json(), path="bundle")
    return online.Scorer(bundle, store)


def transaction(booked: Transactions, row: int) -> online.Transaction:
    return online.Transaction(
        identity=str(booked.ids[row]),
        time=int(booked.time[row]),
        amount=float(booked.amount[row]),
        parties={role: str(values[row]) for role, values in booked.entities.items()},
    )


@pytest.mark.parametrize("kind", ["memory", "file", "redis"])
def test_a_week_replayed_has_the_features_of_the_file(
    kind: str, booked: Transactions, tmp_path: pathlib.Path, request: pytest.FixtureRequest
) -> None:
    last = booked.days[-1]
    few = booked.entities["customer"] < 30
    rows = np.flatnonzero(few & (booked.days > last - 50) & (booked.days <= last - 3))
    found = booked.take(rows)
    batch = inputs.compute_history(found, found.schema)
    scorer = make_scorer(booked, make_store(kind, tmp_path, request), sequence_length=6)
    sequences = preprocessing.sequences(scorer.inputs, found, batch, slice(None))
    week = int(found.days[-1]) - 6
    judged = 0
    delay = round(found.schema.label_delay_days * features.DAY)
    for row in range(len(found)):
        while found.time[judged] <= found.time[row] - delay:
            assert scorer.record_label(str(found.ids[judged]), int(found.labels[judged]))
            judged += 1
        one = transaction(found, row)
        if found.days[row] >= week:
            history = scorer.history(one)
            for name, value in history.items():
                assert value.tobytes() == batch[name][row].tobytes(), (name, row)
            assert scorer.sequence(one, history).tobytes() == sequences[row].tobytes()
        scorer.remember(one)
    assert judged > 500


def test_sequences_differ_where_the_store_lacks_the_past(booked: Transactions) -> None:
    scorer = make_scorer(booked, stores.SqliteStore(), sequence_length=6)
    one = transaction(booked, len(booked) - 1)
    alone = scorer.sequence(one, scorer.history(one))
    assert (alone[1:] == 0).all()
    assert alone[0, -1] == 1


@pytest.mark.parametrize("kind", ["file", "redis"])
def test_forgetting_what_is_too_old_changes_nothing(
    kind: str, booked: Transactions, tmp_path: pathlib.Path, request: pytest.FixtureRequest
) -> None:
    scorer = make_scorer(booked, make_store(kind, tmp_path, request))
    rows = np.flatnonzero(booked.entities["customer"] < 30)
    for row in rows[:-1]:
        scorer.remember(transaction(booked, row), label=int(booked.labels[row]))
    last = transaction(booked, rows[-1])
    before = scorer.history(last)
    scorer.forget(last.time)
    assert scorer.history(last) == before
    scorer.forget(last.time + 100 * features.DAY)
    assert scorer.history(last)["customer_count_30d"] == 1


def test_a_store_in_a_file_outlives_its_process(booked: Transactions, tmp_path: pathlib.Path) -> None:
    store = stores.SqliteStore(tmp_path / "state.db")
    make_scorer(booked, store).remember(transaction(booked, 0))
    store.close()
    again = make_scorer(booked, stores.SqliteStore(tmp_path / "state.db"))
    assert again.history(transaction(booked, 0))["customer_count_30d"] == 2
    assert not again.record_label("no such id", 1)


def test_what_comes_late_is_not_compared_with_its_future(booked: Transactions) -> None:
    scorer = make_scorer(booked, stores.SqliteStore(), sequence_length=4)
    early = transaction(booked, 0)
    alone = scorer.history(early)
    later = dataclasses.replace(early, identity="later", time=early.time + 3_600 * 10**6)
    scorer.remember(later)
    assert scorer.history(early) == alone
    assert (scorer.sequence(early, alone)[1:] == 0).all()


def test_a_missing_party_is_named(booked: Transactions) -> None:
    scorer = make_scorer(booked, stores.SqliteStore())
    with pytest.raises(errors.InputError, match="transaction 7: expected a customer"):
        scorer.history(online.Transaction(identity="7", time=0, amount=1.0))


def test_nobody_has_no_history(booked: Transactions) -> None:
    scorer = make_scorer(booked, stores.SqliteStore())
    nobody = online.Transaction(identity="1", time=0, amount=1.0, parties={"customer": "", "terminal": ""})
    scorer.remember(nobody)
    assert scorer.history(nobody)["customer_count_1d"] == 0
