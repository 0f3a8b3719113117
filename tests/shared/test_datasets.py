"""Tests of the one order of the data."""

import pathlib
from typing import Any

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st
from sklearn.utils import class_weight

from shared import errors
from shared.training import batches as batching
from shared.training import datasets

pytestmark = pytest.mark.tensorflow

LENGTHS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5]


def ragged(lengths: list[int]) -> datasets.Ragged:
    """Row ``i`` holds the numbers 100 i + 1, 100 i + 2, ..."""
    return datasets.Ragged.from_rows([100 * row + 1 + np.arange(length) for row, length in enumerate(lengths)])


def examples(*, augment: datasets.Augment | None = None) -> datasets.Arrays:
    rows = np.arange(len(LENGTHS))
    return datasets.Arrays(
        inputs={"tokens": ragged(LENGTHS), "columns": np.stack([rows, -rows], axis=1).astype(np.float32)},
        labels=rows,
        weights=rows / 10,
        augment=augment,
    )


def stream(source: datasets.Arrays, *, first_epoch: int, epochs: int = 4) -> list[tuple[Any, ...]]:
    batches = batching.training(source, batch_size=4, seed=5, first_epoch=first_epoch, epochs=epochs)
    return list(batches.as_numpy_iterator())


@hypothesis.given(
    rows=st.integers(1, 300),
    batch_size=st.one_of(st.integers(1, 50), st.just("all")),
    seed=st.integers(0, 2**31 - 1),
    epoch=st.integers(0, 100),
    bucketed=st.booleans(),
)
def test_an_epoch_holds_every_row_once_in_batches_of_almost_one_size(
    rows: int, batch_size: datasets.BatchSize, seed: int, epoch: int, bucketed: bool
) -> None:
    lengths = np.arange(rows) % 7 if bucketed else None
    batches = datasets.epoch_batches(rows, batch_size=batch_size, seed=seed, epoch=epoch, lengths=lengths)
    assert sorted(batches.values) == list(range(rows))
    assert len(batches) == datasets.steps(rows, batch_size=batch_size)
    assert batches.lengths.max() - batches.lengths.min() <= 1
    assert batches.lengths.max() <= (rows if batch_size == "all" else batch_size)


def test_an_epoch_is_a_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> tuple[int, ...]:
        return tuple(datasets.epoch_batches(50, batch_size=8, seed=seed, epoch=epoch).values)

    assert order(1, 2) == order(1, 2)
    assert len({order(seed, epoch) for seed in range(5) for epoch in range(5)}) == 25


def test_rows_of_similar_length_meet_in_a_batch_and_batches_stay_in_random_order() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 1000)

    def longest(bucketed: bool) -> np.ndarray:
        given_lengths = lengths if bucketed else None
        plan = datasets.epoch_batches(1000, batch_size=20, seed=0, epoch=0, lengths=given_lengths)
        return np.array(
            [lengths[plan.values[a:b]].max() for a, b in zip(plan.row_splits, plan.row_splits[1:], strict=False)]
        )

    # 50 batches are one window: padding nearly vanishes, and the longest rows do not come in order.
    assert longest(True).sum() * 20 < 1.05 * lengths.sum() < 0.6 * longest(False).sum() * 20
    assert abs(np.corrcoef(np.arange(50), longest(True))[0, 1]) < 0.3


@pytest.mark.parametrize("first_epoch", [1, 3])
def test_a_stream_that_starts_later_is_the_end_of_the_whole_stream(first_epoch: int) -> None:
    whole, later = stream(examples(), first_epoch=0), stream(examples(), first_epoch=first_epoch)
    assert len(later) == (4 - first_epoch) * 3
    for one, other in zip(whole[first_epoch * 3 :], later, strict=True):
        np.testing.assert_equal(one, other)


def test_a_batch_holds_whole_examples_padded_to_its_longest_row() -> None:
    for inputs, labels, weights in stream(examples(), first_epoch=0):
        wanted = np.zeros((len(labels), max(LENGTHS[label] for label in labels)))
        for row, label in enumerate(labels):
            wanted[row, : LENGTHS[label]] = 100 * label + 1 + np.arange(LENGTHS[label])
        np.testing.assert_array_equal(inputs["tokens"], wanted)
        np.testing.assert_array_equal(inputs["columns"], np.stack([labels, -labels], axis=1))
        np.testing.assert_array_equal(weights, labels / 10)


def test_evaluation_drops_no_row_keeps_the_order_and_does_not_augment() -> None:
    def spoil(inputs: dict[str, Any], labels: tf.Tensor, _seeds: tf.Tensor) -> tuple[dict[str, Any], tf.Tensor]:
        return inputs, labels * 0

    batches = batching.evaluation(examples(augment=spoil), batch_size=4).as_numpy_iterator()
    assert np.concatenate([labels for _, labels, _ in batches]).tolist() == list(range(11))
    backwards = batching.evaluation(examples(), batch_size=4, order=np.arange(11)[::-1]).as_numpy_iterator()
    assert np.concatenate([labels for _, labels, _ in backwards]).tolist() == list(range(10, -1, -1))


def test_augmentation_depends_on_seed_epoch_and_row_only() -> None:
    def jitter(inputs: dict[str, Any], labels: tf.Tensor, seeds: tf.Tensor) -> tuple[dict[str, Any], tf.Tensor]:
        noise = tf.map_fn(lambda seed: tf.random.stateless_normal([2], seed), seeds, fn_output_signature=tf.float32)
        return {**inputs, "columns": noise}, labels

    def noise(first_epoch: int, *, batch_size: int) -> dict[int, float]:
        source = examples(augment=jitter)
        batches = batching.training(
            source, batch_size=batch_size, seed=5, first_epoch=first_epoch, epochs=first_epoch + 1
        )
        return {
            int(label): float(value)
            for inputs, labels, _ in batches.as_numpy_iterator()
            for label, value in zip(labels, inputs["columns"][:, 0], strict=True)
        }

    assert noise(1, batch_size=4) == noise(1, batch_size=3)
    assert not set(noise(1, batch_size=4).values()) & set(noise(2, batch_size=4).values())
    assert len(set(noise(1, batch_size=4).values())) == len(LENGTHS)


@hypothesis.given(st.lists(st.integers(0, 5), min_size=1, max_size=20), st.data())
def test_taking_rows_is_what_a_list_would_give(lengths: list[int], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(lengths) - 1), max_size=30))
    whole = ragged(lengths)
    taken = whole.take(np.array(rows, dtype=np.int64))
    pieces = np.split(whole.values, whole.row_splits[1:-1])
    assert taken.values.tolist() == [value for row in rows for value in pieces[row]]
    assert taken.lengths.tolist() == [lengths[row] for row in rows]


def test_taking_examples_takes_inputs_labels_and_weights() -> None:
    taken = examples().take(np.array([4, 1]))
    assert taken.labels.tolist() == [4, 1]
    assert taken.lengths is not None
    assert taken.lengths.tolist() == [5, 1]
    np.testing.assert_array_equal(taken.weights, [0.4, 0.1])


def test_a_fingerprint_tells_contents_apart_and_nothing_else() -> None:
    def fingerprint(text: str, label: int = 1) -> str:
        texts = np.array(["a", text], dtype=object)
        return datasets.Arrays(inputs={"text": texts}, labels=np.array([0, label])).fingerprint()

    assert fingerprint("bc") == fingerprint("".join(["b", "c"]))
    assert len({fingerprint("bc"), fingerprint("b"), fingerprint("bc", 2), examples().fingerprint()}) == 4


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    labels = np.random.default_rng(0).choice([2, 5, 7], 100, p=[0.7, 0.2, 0.1])
    wanted = class_weight.compute_sample_weight("balanced", labels)
    np.testing.assert_allclose(datasets.balanced_weights(labels), wanted, rtol=1e-6)


@pytest.mark.parametrize("labels", [np.zeros(3), np.zeros(0)])
def test_arrays_of_different_lengths_are_refused(labels: np.ndarray) -> None:
    with pytest.raises(errors.InputError, match="one number of rows"):
        datasets.Arrays(inputs={"columns": np.zeros((len(labels) and 2, 1))}, labels=labels)


@pytest.mark.tensorflow
def test_rows_on_disk_give_the_batches_that_rows_in_memory_give(tmp_path: pathlib.Path) -> None:
    values = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float16)
    splits = np.array([0, 5, 6, 20, 31, 40])
    stored = np.memmap(tmp_path / "values", np.float16, mode="w+", shape=values.shape)
    stored[:] = values
    rows = [datasets.Ragged(values=array, row_splits=splits) for array in (values, stored)]
    parts = [datasets.Arrays(inputs={"x": each}, labels=np.arange(5)) for each in rows]
    assert parts[0].fingerprint() == parts[1].fingerprint()
    found = [
        [
            (np.asarray(inputs), np.asarray(labels))
            for inputs, labels in batching.training(part, batch_size=2, seed=1, first_epoch=0, epochs=2)
        ]
        for part in parts
    ]
    assert len(found[0]) == len(found[1]) == 6
    for (inputs, labels), (others, same) in zip(*found, strict=True):
        assert np.array_equal(inputs, others)
        assert np.array_equal(labels, same)
        for row, label in zip(inputs, labels, strict=True):
            own = values[splits[label] : splits[label + 1]]
            assert np.array_equal(row[: len(own)], own)
            assert not row[len(own) :].any()
