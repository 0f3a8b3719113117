"""Reasons name everything that the networks read, add up, and say of amounts only what the model was asked."""

import dataclasses
import itertools
import math
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from apps.fraud_detection import decision as decision_rule
from apps.fraud_detection import inputs, reasons, schema, wording
from apps.fraud_detection import model as networks

pytestmark = pytest.mark.tensorflow

RULE = decision_rule.DecisionRule(
    threshold=0.5, rule="given", alerts_per_day=1, investigation_cost=1.0, recovered_share=1.0, fitted_on={}
)


def found_inputs(*, numeric: tuple[str, ...] = ("risk",), sequence_length: int = 0) -> inputs.Inputs:
    entities = {"customer": "card"} if sequence_length else {}
    return inputs.Inputs(
        schema=schema.Schema(
            time="when", amount="value", numeric=numeric, categorical=("channel",), entities=entities, currency="EUR"
        ),
        calendar=True,
        numbers=(inputs.AMOUNT, *numeric),
        vocabularies={"channel": ("atm", "pos", "web")},
        typical=(20.0, *(0.0 for _ in numeric)),
        frauds=100,
        sequence_length=sequence_length,
        typical_categories={"channel": "pos"},
    )


def scorer(found: inputs.Inputs, log_odds: Any) -> networks.Scorer:
    """Return a model of planted log-odds: a function of numbers, categories and sequence."""
    tensors = {
        "numbers": keras.Input((len(found.numbers),), dtype="float32", name="numbers"),
        "categories": keras.Input((1,), dtype="int32", name="categories"),
    }
    if found.sequence_length:
        tensors["sequence"] = keras.Input((found.sequence_length, 6), dtype="float32", name="sequence")

    def logits(given: dict[str, Any]) -> Any:
        odds = ops.reshape(log_odds(given), (-1, 1))
        return ops.concatenate([ops.zeros_like(odds), odds], axis=1)

    layer = keras.layers.Lambda(logits, output_shape=lambda shape: (shape["numbers"][0], 2))
    return networks.Scorer(model=keras.Model(tensors, layer(tensors)), inputs=found, decision_rule=RULE)


def is_atm(given: dict[str, Any]) -> Any:
    return ops.cast(given["categories"][:, 0] == 1, "float32")


def one(amount: float, risk: float, channel: int) -> dict[str, np.ndarray]:
    return {"numbers": np.array([[amount, risk]], np.float32), "categories": np.array([[channel]], np.int32)}


def test_a_category_that_decides_is_the_first_reason_and_is_named_with_what_is_usual() -> None:
    model = scorer(found_inputs(), lambda given: 4 * is_atm(given) + 0.1 * given["numbers"][:, 1] - 2)
    arrays = one(20, 1.0, 1)
    found = reasons.find(model, arrays)
    row = wording.Row(arrays["numbers"][0], {"channel": "atm"}, np.zeros((0, 6)))
    assert found.in_words(model.inputs, [row])[0] == ["channel atm, typical pos", "risk 1, typical 0"]
    assert found.contributions[0].tolist() == pytest.approx([0, 0.1, 4], abs=1e-5)
    new = wording.say("channel", model.inputs, row._replace(names={"channel": "kiosk"}))
    assert new == "channel kiosk, rare or never seen in training, typical pos"
    assert wording.say("channel", model.inputs, row._replace(names={})) == "channel missing, typical pos"


def test_contributions_are_the_shapley_values_of_what_interacts_in_pairs() -> None:
    def log_odds(given: dict[str, Any]) -> Any:
        amount, risk = given["numbers"][:, 0] / 100, given["numbers"][:, 1]
        return amount * risk + 3 * risk * is_atm(given) - amount * is_atm(given) + 0.5 * amount

    model, arrays = scorer(found_inputs(), log_odds), one(300, 2.0, 1)
    usual = {name: values[np.newaxis] for name, values in inputs.typical_arrays(model.inputs).items()}
    players = (("numbers", 0), ("numbers", 1), ("categories", 0))

    def value(own: tuple[int, ...]) -> float:
        mixed = {name: usual[name].copy() for name in arrays}
        for player in own:
            name, column = players[player]
            mixed[name][0, column] = arrays[name][0, column]
        logits = networks.predict(model.model, mixed)[0]
        return float(logits[1] - logits[0])

    expected = np.zeros(3)
    for order in itertools.permutations(range(3)):
        for place, player in enumerate(order):
            expected[player] += (value(order[: place + 1]) - value(order[:place])) / math.factorial(3)
    assert reasons.find(model, arrays).contributions[0] == pytest.approx(expected, abs=1e-4)


def test_a_missing_number_is_a_reason_too() -> None:
    model = scorer(found_inputs(), lambda given: 3 * ops.cast(ops.isnan(given["numbers"][:, 1]), "float32"))
    arrays = one(20, np.nan, 2)
    found = reasons.find(model, arrays)
    row = wording.Row(arrays["numbers"][0], {"channel": "pos"}, np.zeros((0, 6)))
    assert found.in_words(model.inputs, [row]) == [["risk missing, typical 0"]]


def test_the_last_transactions_are_a_reason() -> None:
    found = dataclasses.replace(
        found_inputs(sequence_length=3), typical_sequence=((0.5, 0.0, 0.5, 0.0, 1.0, 1.0), (0.0,) * 6, (0.0,) * 6)
    )
    model = scorer(found, lambda given: 2 * ops.sum(given["sequence"][:, :, 5], axis=1) - 3)
    steps = [[np.log1p(30) / 5, np.log1p(2.5) / 5, 0.5, 0, 0, 1], [np.log1p(50) / 5, np.log1p(1.5) / 5, 0.5, 0, 0, 1]]
    own = [np.log1p(20) / 5, 0, 0.5, 0, 1, 1]
    arrays = {**one(20, 0, 2), "sequence": np.array([[*steps, own]], np.float32)}
    why = reasons.find(model, arrays)
    row = wording.Row(arrays["numbers"][0], {"channel": "pos"}, arrays["sequence"][0])
    said = why.in_words(found, [row])[0]
    assert said == ["last 2 of the customer: 40.00 EUR on average, the newest 1.5 h before"]
    assert why.contributions[0, -1] == pytest.approx(4, abs=1e-4)


def test_wide_tables_are_explained_in_parts_and_in_a_graph_alike() -> None:
    numeric = tuple(f"v{number}" for number in range(150))
    found = found_inputs(numeric=numeric)
    weights = np.linspace(-1, 1, 151).astype(np.float32)
    model = scorer(found, lambda given: ops.sum(given["numbers"] * weights, axis=1) + is_atm(given))
    numbers = np.random.default_rng(0).normal(size=(5, 151)).astype(np.float32)
    arrays = {"numbers": numbers, "categories": np.array([[1], [2], [0], [1], [3]], np.int32)}
    expected = (numbers - np.asarray(found.typical, np.float32)) * weights
    contributions = reasons.find(model, arrays).contributions
    assert contributions[:, :151] == pytest.approx(expected, abs=1e-3)
    assert contributions[:, 151] == pytest.approx([1, 0, 0, 1, 0], abs=1e-3)
    graph = tf.function(lambda given: reasons.contributions(model.model, found, given))
    assert graph({name: tf.constant(values) for name, values in arrays.items()}).numpy() == pytest.approx(
        contributions, abs=1e-4
    )


def test_a_score_that_does_not_rise_with_the_amount_gives_a_range_or_nothing() -> None:
    def log_odds(given: dict[str, Any]) -> Any:
        amount = given["numbers"][:, 0]
        return ops.where((amount > 30) & (amount < 60), -1.0, 1.0)

    model = scorer(found_inputs(), log_odds)
    passing = reasons.passing_amounts(model, one(200, 0, 2), 0)
    assert passing is not None
    assert (passing.low, passing.high) == pytest.approx((30.5, 59.5), abs=0.9)
    assert not passing.every
    assert 30 < passing.low < passing.high < 60
    always = scorer(found_inputs(), lambda given: 0 * given["numbers"][:, 0] + 1)
    assert reasons.passing_amounts(always, one(200, 0, 2), 0) is None
    cheap = scorer(found_inputs(), lambda given: ops.where(given["numbers"][:, 0] < 50, -1.0, 1.0))
    passing = reasons.passing_amounts(cheap, one(200, 0, 2), 0)
    assert passing is not None
    assert passing.every
    assert passing.low == 0.01


def test_reasons_whose_names_meet_are_told_apart() -> None:
    found = dataclasses.replace(
        found_inputs(numeric=("amount", "time of day", "customer"), sequence_length=2),
        numbers=(inputs.AMOUNT, inputs.HOUR, "amount", "time of day", "customer"),
        typical=(0.0,) * 5,
    )
    called = wording.families(found)
    assert list(called) == [
        "amount",
        "time of day",
        "column amount",
        "column time of day",
        "column customer",
        "channel",
        "last transactions",
    ]
    covered = [(reason.array, column) for reason in called.values() for column in reason.columns]
    assert len(set(covered)) == len(covered) == 5 + 1 + 2


def test_rows_whose_weakest_reasons_are_equal_are_good_enough_for_parity() -> None:
    from apps.fraud_detection import export

    contributions = np.array([[2.0, 0, 0, 0], [2.0, 2.0, 0, 0], [0, 0, 0, 0], [2.0, 1.0, reasons.SMALLEST, 0]])
    found = reasons.Reasons(names=tuple("abcd"), contributions=contributions, indices=np.zeros((4, 3), np.int64))
    assert export._clear(found).tolist() == [True, False, True, False]
