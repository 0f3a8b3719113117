"""What the networks read: columns, names, sequences."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from apps.fraud_detection import features, inputs
from apps.fraud_detection.transactions import Transactions

LENGTH = 5


@pytest.fixture(scope="module")
def history(booked: Transactions) -> dict[str, np.ndarray]:
    return inputs.compute_history(booked, booked.schema)


@pytest.fixture(scope="module")
def found(booked: Transactions) -> inputs.Inputs:
    return inputs.learn(booked, np.arange(len(booked)), sequence_length=LENGTH)


def test_a_sequence_is_the_cards_last_transactions_of_30_days(
    booked: Transactions, found: inputs.Inputs, rng: np.random.Generator
) -> None:
    rows = rng.choice(len(booked), 200, replace=False)
    places = inputs.previous(booked, found, rows)
    for row, place in zip(rows, places, strict=True):
        own = booked.entities["customer"][: row + 1] == booked.entities["customer"][row]
        recent = booked.time[: row + 1] > booked.time[row] - 30 * features.DAY
        expected = np.flatnonzero(own & recent)[-LENGTH:]
        assert place[: len(expected)].tolist() == expected.tolist()
        assert (place[len(expected) :] == -1).all()


def test_sequences_say_what_was_paid_when_and_to_whom(
    booked: Transactions, found: inputs.Inputs, history: dict[str, np.ndarray]
) -> None:
    rows = np.arange(len(booked) - 100, len(booked))
    sequences = inputs.sequences(found, booked, history, rows)
    places = inputs.previous(booked, found, rows)
    known = places >= 0
    channel = {name: sequences[:, :, index] for index, name in enumerate(inputs.CHANNELS)}
    assert np.array_equal(channel["present"], known)
    assert (sequences[~known] == 0).all()
    amounts = np.expm1(5 * channel["amount"][known])
    assert amounts == pytest.approx(booked.amount[places[known]], rel=1e-4, abs=1e-3)
    last = known.sum(axis=1) - 1
    assert (channel["hours_before"][np.arange(100), last] == 0).all()
    assert (channel["same_payee"][np.arange(100), last] == 1).all()
    risk = history["terminal_risk_30d"][places[known]]
    assert channel["payee_risk"][known] == pytest.approx(risk)


def test_hours_and_weekends_are_those_of_the_calendar(booked: Transactions) -> None:
    calendar = pd.DatetimeIndex(booked.time.astype("datetime64[us]"))
    assert inputs.hours(booked.time) == pytest.approx((calendar - calendar.normalize()).total_seconds() / 3_600)
    assert np.array_equal(inputs.weekends(booked.time) == 1, calendar.day_of_week >= 5)


def test_rare_and_unseen_names_share_an_id(booked: Transactions) -> None:
    words = np.array(["web", "shop", "", "rare"], object)[np.arange(len(booked)) % 4]
    words[3::4] = [f"rare {i}" for i in range(len(words[3::4]))]
    named = dataclasses.replace(
        booked,
        categorical={"channel": words},
        schema=dataclasses.replace(booked.schema, categorical=("channel",)),
    )
    found = inputs.learn(named, np.arange(len(named)), sequence_length=0)
    assert found.vocabularies == {"channel": ("shop", "web")}
    ids = inputs.arrays(found, named, inputs.compute_history(named, named.schema), slice(0, 4))["categories"]
    assert ids[:, 0].tolist() == [2, 1, 0, 0]


def test_inputs_survive_their_file(booked: Transactions, found: inputs.Inputs, history: dict[str, np.ndarray]) -> None:
    numbers = inputs.numbers(found, booked, history, slice(None))
    numbers[:, 3] = np.nan
    arrays = {**inputs.arrays(found, booked, history, slice(None)), "numbers": numbers}
    learnt = inputs.with_typical(found, arrays, booked.labels)
    again = inputs.Inputs.from_json(json.loads(json.dumps(learnt.to_json())))
    assert np.isnan(again.typical[3])
    assert dataclasses.replace(again, typical=()) == dataclasses.replace(learnt, typical=())


def test_nobodys_transactions_are_no_sequence(booked: Transactions, found: inputs.Inputs) -> None:
    nobody = dataclasses.replace(booked, entities={**booked.entities, "customer": np.full(len(booked), -1, np.int64)})
    places = inputs.previous(nobody, found, np.arange(50, 60))
    assert places[:, 0].tolist() == list(range(50, 60))
    assert (places[:, 1:] == -1).all()
