"""A decision through NumPy, which evaluation uses, and the same arithmetic in the graph, which is served."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shared import decision as decisions
from shared import errors

THREE = decisions.Decision(
    class_names=("negative", "neutral", "positive"),
    temperature=2.0,
    threshold=None,
    rule="most probable class",
    alpha=0.1,
    quantile=0.6,
    fitted_on={"split": "validation", "n": 100},
)
TWO = dataclasses.replace(THREE, class_names=("negative", "positive"), threshold=0.7, rule="max_f1")


def softmax(row: list[float]) -> list[float]:
    powers = [np.e**value for value in row]
    return [power / sum(powers) for power in powers]


def test_a_decision_survives_its_json_file() -> None:
    for decision in (TWO, THREE):
        assert decisions.Decision.from_json(json.loads(json.dumps(decision.to_json()))) == decision


@pytest.mark.parametrize("change", [{"threshold": ...}, {"extra": 1}])
def test_a_decision_file_with_a_field_missing_or_added_is_refused(change: dict[str, Any]) -> None:
    content = {**THREE.to_json(), **change}
    content = {name: value for name, value in content.items() if value is not ...}
    with pytest.raises(errors.InputError, match="expected the fields"):
        decisions.Decision.from_json(content)


def test_scores_are_the_softmax_of_logits_over_temperature() -> None:
    logits = [[1.0, -2.0, 0.5], [30.0, 0.0, -30.0]]
    expected = [softmax([value / 2 for value in row]) for row in logits]
    np.testing.assert_allclose(THREE.scores(logits), expected, rtol=1e-12)


def test_without_threshold_the_most_probable_class_is_answered() -> None:
    scores = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.2, 0.4, 0.4]])
    assert THREE.predicted(scores).tolist() == [0, 2, 1]


def test_with_a_threshold_the_last_class_is_answered_from_it_on() -> None:
    scores = np.array([[0.31, 0.69], [0.3, 0.7], [0.29, 0.71]])
    assert TWO.predicted(scores).tolist() == [0, 1, 1]


def test_a_row_is_abstained_from_unless_exactly_one_class_is_likely_enough() -> None:
    # With quantile 0.6 a class is in the set from a probability of 0.4 on.
    scores = np.array([[0.5, 0.3, 0.2], [0.45, 0.45, 0.1], [0.34, 0.33, 0.33]])
    assert THREE.abstains(scores).tolist() == [False, True, True]
    assert THREE.decisions(scores).tolist() == ["negative", "abstain", "abstain"]


def test_abstention_covers_the_true_class_as_often_as_alpha_promises() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(4000, 3)) * 2
    labels = np.array([random.choice(3, p=softmax((row / 1.7).tolist())) for row in logits])
    decision = decisions.fit(logits[:2000], labels[:2000], class_names=THREE.class_names, alpha=0.1, fitted_on={})
    scores = decision.scores(logits[2000:])
    covered = 1 - scores[np.arange(2000), labels[2000:]] <= decision.quantile
    # 0.9 within four standard errors of two samples of 2,000: 4 * sqrt(2 * 0.09 / 2000).
    assert covered.mean() == pytest.approx(0.9, abs=0.038)
    assert decision.temperature == pytest.approx(1.7, rel=0.15)


@pytest.mark.parametrize("rows", [12, 300, 20_000])
def test_no_validation_row_sits_on_the_border_of_abstention(rows: int) -> None:
    random = np.random.default_rng(rows)
    logits, labels = random.normal(size=(rows, 2)), random.integers(0, 2, rows)
    decision = decisions.fit(logits, labels, class_names=("no", "yes"), alpha=0.1, fitted_on={})
    scores = decision.scores(logits)
    distance = np.abs(1 - scores - decision.quantile).min()
    assert distance > 2e-6, "float32 and float64 differ by some 1e-7"
    exact = np.quantile(1 - scores[np.arange(rows), labels], 0.9, method="higher")
    assert exact <= decision.quantile < exact + 0.2


def test_a_quantile_of_one_stays_one() -> None:
    assert decisions.clear_quantile(1.0, np.array([[0.3, 0.7]])) == 1.0


def graph(decision: decisions.Decision, logits: np.ndarray) -> dict[str, Any]:
    """What the exported graph answers to logits."""
    import tensorflow as tf

    from shared.bundle import export

    def model(inputs: Any, training: bool) -> Any:
        assert training is False
        return inputs["logits"]

    answer = tf.function(export.classifier(model, decision))
    return {name: value.numpy() for name, value in answer({"logits": tf.constant(logits)}).items()}


def clear(decision: decisions.Decision, scores: np.ndarray) -> np.ndarray:
    """Rows whose answer does not hang on the last bits: float32 in the graph, float64 in NumPy."""
    borders = [1 - decision.quantile] if decision.threshold is None else [1 - decision.quantile, decision.threshold]
    ordered = np.sort(scores, axis=1)
    far = np.min([np.abs(scores - border).min(axis=1) for border in borders], axis=0) > 1e-5
    found: np.ndarray = far & (ordered[:, -1] - ordered[:, -2] > 1e-5)
    return found


@pytest.mark.tensorflow
@given(
    logits=hnp.arrays(np.float32, (9, 3), elements=st.floats(-50, 50, width=32)),
    temperature=st.floats(0.05, 20),
    quantile=st.floats(0, 1),
    threshold=st.none() | st.floats(0.01, 0.99),
)
def test_the_graph_and_numpy_answer_alike(
    logits: np.ndarray, temperature: float, quantile: float, threshold: float | None
) -> None:
    base = THREE if threshold is None else TWO
    logits = logits[:, : len(base.class_names)]
    decision = dataclasses.replace(base, temperature=temperature, quantile=quantile, threshold=threshold)
    scores = decision.scores(logits)
    served = graph(decision, logits)
    np.testing.assert_allclose(served["scores"], scores, atol=1e-5)
    rows = clear(decision, scores)
    labels = np.array(decision.class_names, object)[decision.predicted(scores)]
    assert [name.decode() for name in served["labels"][rows]] == labels[rows].tolist()
    assert [name.decode() for name in served["decision"][rows]] == decision.decisions(scores)[rows].tolist()


@pytest.mark.tensorflow
def test_a_quantile_of_one_puts_every_class_in_the_set_and_always_abstains() -> None:
    logits = np.array([[200.0, 0.0, -200.0]], np.float32)
    decision = dataclasses.replace(THREE, quantile=1.0)
    assert graph(decision, logits)["decision"].tolist() == [b"abstain"]
    assert decision.decisions(decision.scores(logits)).tolist() == ["abstain"]


@pytest.mark.tensorflow
def test_an_empty_batch_gets_an_empty_answer() -> None:
    served = graph(THREE, np.zeros((0, 3), np.float32))
    assert {name: value.shape for name, value in served.items()} == {
        "scores": (0, 3),
        "labels": (0,),
        "decision": (0,),
    }


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_refused_with_one_sentence(broken: float) -> None:
    logits = np.array([[0.0, 1.0, 0.0], [broken, 0.0, 0.0]])
    with pytest.raises(errors.InputError, match=r"finite scores. Received: NaN or infinity for 1 of 2 rows"):
        THREE.scores(logits)
