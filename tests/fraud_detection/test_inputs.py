"""What the networks read: columns, names, sequences."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from apps.fraud_detection import features, inputs, preprocessing
from apps.fraud_detection.transactions import Transactions
from shared import errors

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
    places = preprocessing.previous(booked, found, rows)
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
    sequences = preprocessing.sequences(found, booked, history, rows)
    places = preprocessing.previous(booked, found, rows)
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
    assert preprocessing.hours(booked.time) == pytest.approx((calendar - calendar.normalize()).total_seconds() / 3_600)
    assert np.array_equal(preprocessing.weekends(booked.time) == 1, calendar.day_of_week >= 5)


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
    ids = preprocessing.arrays(found, named, inputs.compute_history(named, named.schema), slice(0, 4))["categories"]
    assert ids[:, 0].tolist() == [2, 1, 0, 0]


def test_inputs_survive_their_file(booked: Transactions, found: inputs.Inputs, history: dict[str, np.ndarray]) -> None:
    numbers = preprocessing.numbers(found, booked, history, slice(None))
    numbers[:, 3] = np.nan
    arrays = {**preprocessing.arrays(found, booked, history, slice(None)), "numbers": numbers}
    learnt = inputs.learn_typical(found, arrays, booked.labels)
    again = inputs.Inputs.from_json(json.loads(json.dumps(learnt.to_json())))
    assert np.isnan(again.typical[3])
    assert dataclasses.replace(again, typical=()) == dataclasses.replace(learnt, typical=())


def test_nobodys_transactions_are_no_sequence(booked: Transactions, found: inputs.Inputs) -> None:
    nobody = dataclasses.replace(booked, entities={**booked.entities, "customer": np.full(len(booked), -1, np.int64)})
    places = preprocessing.previous(nobody, found, np.arange(50, 60))
    assert places[:, 0].tolist() == list(range(50, 60))
    assert (places[:, 1:] == -1).all()


def test_a_column_named_as_a_computed_one_takes_nothing_from_it(
    booked: Transactions, history: dict[str, np.ndarray], rng: np.random.Generator
) -> None:
    names = ("hour", "weekend", "amount", "customer_count_1d")
    own = {name: rng.normal(size=len(booked)).astype(np.float32) for name in names}
    named = dataclasses.replace(booked, numeric=own, schema=dataclasses.replace(booked.schema, numeric=names))
    found = inputs.learn(named, np.arange(len(named)), sequence_length=0)
    assert len(set(found.numbers)) == len(found.numbers)
    read = dict(zip(found.numbers, preprocessing.numbers(found, named, history, slice(None)).T, strict=True))
    for name in names:
        assert np.array_equal(read[name], own[name])
    assert read[inputs.HOUR] == pytest.approx(preprocessing.hours(booked.time), rel=1e-6)
    assert read[inputs.AMOUNT] == pytest.approx(booked.amount, rel=1e-6)
    assert np.array_equal(read[f"{inputs.COMPUTED}customer_count_1d"], history["customer_count_1d"])
    assert len(set(found.shown)) == len(found.shown)


def test_names_that_begin_like_computed_ones_are_refused(booked: Transactions) -> None:
    with pytest.raises(errors.InputError, match=r"do not begin with 'computed:'\. Received: computed:hour"):
        dataclasses.replace(booked.schema, numeric=("computed:hour",))


def test_inputs_of_earlier_runs_are_read_or_the_run_is_to_be_trained_anew(found: inputs.Inputs) -> None:
    content = json.loads(json.dumps(found.to_json()))
    del content["typical_categories"], content["typical_sequence"]
    content["numbers"] = [name.removeprefix(inputs.COMPUTED) for name in content["numbers"]]
    again = inputs.Inputs.from_json(content)
    assert again.numbers == found.numbers
    assert inputs.typical_arrays(again)["sequence"][:, -1].tolist() == [1, 0, 0, 0, 0]
    content["schema"]["numeric"] = ["hour"]
    content["numbers"] = ["amount", "hour", "hour", *content["numbers"][3:]]
    with pytest.raises(errors.InputError, match=r"train anew\. Received: hour of the source"):
        inputs.Inputs.from_json(content)


def test_the_typical_transaction_is_made_of_medians_and_the_most_common_names(
    booked: Transactions, history: dict[str, np.ndarray]
) -> None:
    words = np.where(np.arange(len(booked)) % 3 == 0, "web", "shop").astype(object)
    schema = dataclasses.replace(booked.schema, categorical=("channel",))
    named = dataclasses.replace(booked, categorical={"channel": words}, schema=schema)
    learnt = inputs.learn(named, np.arange(len(named)), sequence_length=LENGTH)
    arrays = preprocessing.arrays(learnt, named, history, slice(None))
    usual = inputs.typical_arrays(inputs.learn_typical(learnt, arrays, named.labels))
    assert usual["categories"].tolist() == [1]
    genuine = {name: values[named.labels == 0] for name, values in arrays.items()}
    assert usual["numbers"] == pytest.approx(np.median(genuine["numbers"], axis=0))
    lengths = genuine["sequence"][:, :, -1].sum(axis=1)
    length = int(np.median(lengths))
    assert usual["sequence"][:, -1].sum() == length
    last = [sequence[int(n) - 1] for sequence, n in zip(genuine["sequence"], lengths, strict=True)]
    assert usual["sequence"][length - 1] == pytest.approx(np.median(last, axis=0))
