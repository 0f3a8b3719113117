"""The networks and how they are joined, against second derivations."""

import ast
import collections
import math
import pathlib
import subprocess
import sys
from importlib import util

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.sentiment import config, model, preprocessing, train
from shared.models import averaging
from tests import helpers

pytestmark = pytest.mark.tensorflow

NGRAMS = [np.array([1, 2, 3]), np.array([2, 3]), np.array([3, 4]), np.array([1])]
LABELS = np.array([0, 0, 1, 1])


def texts_of(rows: list[np.ndarray], labels: np.ndarray = LABELS) -> model.TrainingTexts:
    lengths = np.array([len(row) for row in rows])
    return model.TrainingTexts(values=np.concatenate(rows), lengths=lengths, labels=labels)


def test_log_count_ratios_are_the_papers() -> None:
    found = model.log_count_ratios(texts_of(NGRAMS), buckets=6, classes=2)
    for label in (0, 1):
        counts = collections.Counter(
            int(gram) for row, own in zip(NGRAMS, LABELS, strict=True) if own == label for gram in row
        )
        total = sum(1 + counts[bucket] for bucket in range(6))
        for bucket in range(1, 6):
            assert found[bucket, label] == pytest.approx(math.log((1 + counts[bucket]) / total))
    assert not found[0].any()


def test_the_ngram_network_starts_from_the_classes_shares() -> None:
    labels = np.array([0, 0, 0, 1])
    network = model.build("ngram", config.Config.smoke(), classes=2, train=texts_of(NGRAMS, labels))
    logits = np.asarray(network(np.array([[1, 2]]), training=False))
    assert logits[0] == pytest.approx(np.log([4 / 6, 2 / 6]))


@pytest.mark.parametrize("classes", [2, 3])
def test_the_ngram_network_learns_what_tells_the_classes_apart(classes: int) -> None:
    labels = np.arange(60) % classes
    rows = [np.array([1 + label, 10 + row % 7]) for row, label in enumerate(labels)]
    train_part = texts_of(rows, labels)
    network = model.build("ngram", config.Config.smoke(), classes=classes, train=train_part)
    network.compile(keras.optimizers.SGD(40.0, 0.9, nesterov=True), keras.losses.SparseCategoricalCrossentropy(True))
    padded = np.array(rows)
    network.fit(padded, labels, epochs=5, batch_size=20, verbose=0)
    assert (np.asarray(network(padded, training=False)).argmax(axis=1) == labels).all()


def test_the_average_is_of_calibrated_logits_by_their_weights() -> None:
    average = averaging.CalibratedAverage([2.0, 0.5], [0.25, 0.75])
    first, second = np.array([[1.0, -1.0]]), np.array([[0.5, 2.0]])
    found = np.asarray(average([tf.constant(first), tf.constant(second)]))
    assert found == pytest.approx(0.25 * first / 2 + 0.75 * second / 0.5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 3))
def test_ensemble_weights_are_no_worse_than_any_on_a_grid(seed: int, classes: int) -> None:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, 60)
    logits = generator.normal(size=(2, 60, classes)) + 0.8 * np.eye(classes)[labels]
    weights = averaging.ensemble_weights(logits, labels)
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1)

    def loss(scaled: np.ndarray) -> float:
        mixed = np.tensordot(scaled, logits, axes=1)
        return float(np.mean(np.log(np.exp(mixed).sum(axis=1)) - mixed[np.arange(60), labels]))

    best = min(loss(scale * weights) for scale in np.linspace(0, 6, 601))
    grid = [np.array([a, b]) for a in np.linspace(0, 4, 21) for b in np.linspace(0, 4, 21)]
    assert best <= min(map(loss, grid)) + 1e-3


def test_a_network_that_knows_nothing_gets_no_weight() -> None:
    labels = np.arange(200) % 2
    knows = 3.0 * (np.eye(2)[labels] - 0.5)
    weights = averaging.ensemble_weights(np.stack([knows, -knows]), labels)
    assert weights == pytest.approx([1, 0])


def test_words_are_hidden_at_the_stated_rate_and_padding_never() -> None:
    tokens = tf.constant(np.tile([5, 6, 7, 0], (500, 50)))
    seeds = tf.constant([[3, 4]] * 500, tf.int64)
    hidden = train.hide_words({"tokens": tokens}, None, seeds, rate=0.2)[0]["tokens"].numpy()
    words = tokens.numpy() != 0
    assert (hidden[words] == preprocessing.UNKNOWN).mean() == pytest.approx(0.2, abs=0.01)
    assert (hidden[~words] == 0).all()
    again = train.hide_words({"tokens": tokens}, None, seeds, rate=0.2)[0]["tokens"].numpy()
    assert np.array_equal(hidden, again)
    other = train.hide_words({"tokens": tokens}, None, seeds + 1, rate=0.2)[0]["tokens"].numpy()
    assert not np.array_equal(hidden, other)


@pytest.mark.parametrize(("rows", "copies"), [(100, 3), (14_999, 3), (15_000, 1)])
def test_small_corpora_get_several_recurrent_networks_unless_told_otherwise(rows: int, copies: int) -> None:
    settings = config.Config()
    assert model.resolve(settings, rows=rows).rnn_copies == copies
    assert len(model.resolve(settings, rows=rows).networks) == 1 + copies
    assert model.resolve(settings.replace({"rnn_copies": 2}), rows=rows).rnn_copies == 2


def test_a_layer_that_was_saved_with_shares_still_loads() -> None:
    content = averaging.CalibratedAverage([2.0], [1.0]).get_config()
    content["shares"] = content.pop("ensemble_weights")
    assert averaging.CalibratedAverage.from_config(content).ensemble_weights == [1.0]


def test_no_module_that_the_networks_are_built_from_imports_tensorflow() -> None:
    root = pathlib.Path(model.__file__).parents[2]
    seen, todo = set(), ["apps.sentiment.model"]
    while todo:
        name = todo.pop()
        path = root / name.replace(".", "/")
        source = path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py"
        if name in seen or not source.exists():
            continue
        seen.add(name)
        for node in ast.walk(ast.parse(source.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                todo += [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                todo += [f"{node.module}.{alias.name}" for alias in node.names] + [str(node.module)]
        assert not {each for each in todo if each.partition(".")[0] == "tensorflow"}, name
    assert "shared.models.rnn" in seen


WITHOUT_TENSORFLOW = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensorflow":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import numpy as np
from apps.sentiment import config, model
rows = model.TrainingTexts(values=np.array([1, 2, 3]), lengths=np.array([2, 1]), labels=np.array([0, 1]))
settings = config.Config.smoke()
vectors = np.zeros((10, settings.embedding_size), np.float32)
for name in ("ngram", "cnn", "lstm"):
    network = model.build(name, settings, classes=2, train=rows, vectors=vectors)
    print(name, *network(np.array([[1, 2, 3, 0]]), training=False).shape)
"""


@pytest.mark.skipif(util.find_spec("jax") is None, reason="JAX is not installed")
def test_the_networks_are_built_on_jax_where_tensorflow_is_absent() -> None:
    finished = subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW],
        env={**helpers.ENVIRONMENT, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.stdout.splitlines() == ["ngram 1 2", "cnn 1 2", "lstm 1 2"], finished.stderr
