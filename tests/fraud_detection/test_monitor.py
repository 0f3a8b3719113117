"""The columns of drift: the graph reads what NumPy reads, and gives the score that the scorer gives."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from apps.fraud_detection import decision as decision_rule
from apps.fraud_detection import evaluate_run, export, graph, inputs, model, monitor, preprocessing, tensor_names
from apps.fraud_detection import run as loaded_run
from apps.fraud_detection.transactions import Transactions
from shared import monitoring
from shared.bundle import export as exporting
from shared.bundle import reading as bundle
from shared.evaluation import drift

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def scorer(booked: Transactions) -> model.Scorer:
    """A linear model whose weights were drawn."""
    found = inputs.learn(booked, np.arange(len(booked)), sequence_length=0)
    keras.utils.set_random_seed(0)
    numbers = keras.Input((len(found.numbers),), name="numbers")
    logits = keras.layers.Dense(2, name="logits")(keras.layers.Rescaling(1e-3)(numbers))
    decide = decision_rule.DecisionRule(
        threshold=0.5, rule="given", alerts_per_day=1, investigation_cost=1.0, recovered_share=1.0, fitted_on={}
    )
    return model.Scorer(model=keras.Model(numbers, logits), inputs=found, decision_rule=decide)


def test_the_columns_are_the_numbers_read_and_the_score(booked: Transactions, scorer: model.Scorer) -> None:
    found = scorer.inputs
    history = inputs.compute_history(booked, booked.schema)
    rows = np.arange(len(booked) - 300, len(booked))
    endpoint = export.endpoints(scorer, graph.Reader(found))["drift"]
    raw = tensor_names.columns(found, booked, history, rows)
    columns = monitoring.in_batches(exporting.compiled(endpoint), raw, rows=model.BATCH_ROWS)
    arrays = preprocessing.arrays(found, booked, history, rows)
    assert list(columns) == [*found.shown, "score"]
    for index, name in enumerate(found.shown):
        np.testing.assert_allclose(columns[name], arrays["numbers"][:, index], rtol=1e-5, atol=1e-5, err_msg=name)
    np.testing.assert_allclose(columns["score"], scorer.scores(arrays), atol=1e-6)
    assert {values.dtype.name for values in columns.values()} == {"float64"}


def test_a_file_that_is_too_short_for_histories_says_so(booked: Transactions, scorer: model.Scorer) -> None:
    assert monitor.is_settled(booked, scorer.inputs)
    short = dataclasses.replace(booked.take(np.arange(50)), name="short")
    assert not monitor.is_settled(short, scorer.inputs)
    assert monitor.settled(short, scorer.inputs).tolist() == list(range(50))


def test_categories_that_are_new_or_missing_are_drift(booked: Transactions) -> None:
    rng = np.random.default_rng(0)
    words = rng.choice(["atm", "pos", "web"], len(booked)).astype(object)
    named = dataclasses.replace(
        booked, categorical={"channel": words}, schema=dataclasses.replace(booked.schema, categorical=("channel",))
    )
    found = inputs.learn(named, np.arange(len(named)), sequence_length=4)
    history = inputs.compute_history(named, named.schema)
    reader = graph.Reader(found)

    def columns(transactions: Transactions) -> dict[str, np.ndarray]:
        raw = tensor_names.columns(found, transactions, history, np.arange(2_000))
        arrays = reader({name: tf.constant(values) for name, values in raw.items()})
        names = reader.known_names({name: tf.constant(values) for name, values in raw.items()})
        result = graph.drift_columns(found, arrays, names, tf.zeros(2_000, tf.float64))
        return {name: bundle.as_text(values.numpy()) for name, values in result.items()}

    reference = drift.reference(columns(named))
    for name, missing in (("kiosk", 0.0), ("", 1.0)):
        other = dataclasses.replace(named, categorical={"channel": np.full(len(named), name, object)})
        rows = {row["name"]: row for row in drift.compare(reference, columns(other))}
        assert [each for each, row in rows.items() if row["drift"]] == ["channel"]
        assert rows["channel"]["missing"] == missing
    assert not any(row["drift"] for row in drift.compare(reference, columns(named)))
    mixed = np.resize(np.array(["web", "kiosk", "", "<other>"], object), len(named))
    other = dataclasses.replace(named, categorical={"channel": mixed})
    part = loaded_run.FoldRows(fold=0, transactions=other, history=history, rows=np.arange(2_000))
    # The evaluation's report compares the very columns that ``monitor`` does.
    own = evaluate_run.drift_columns(found, part)
    assert own.pop("channel").tolist() == columns(other)["channel"].tolist()
    of_numbers = dict(zip(found.shown, tensor_names.of_drift(found)["numbers"], strict=True))
    for name, values in own.items():
        np.testing.assert_allclose(values, columns(other)[of_numbers[name]], rtol=1e-6)
    steps = columns(named)["sequence_present"]
    sequence = preprocessing.sequences(found, named, history, np.arange(2_000))
    assert steps.tolist() == sequence[:, :, -1].sum(axis=1).tolist()
