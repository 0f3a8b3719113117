"""Training images vary as asked, in the same way for the same seed, and labels follow."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from apps.medical_imaging import augmentation, config

pytestmark = pytest.mark.tensorflow

STILL = dataclasses.replace(
    config.Config(), rotation_degrees=0.0, shift_fraction=0.0, scale_fraction=0.0, exposure=0.0, noise=0.0
)
LABELS = np.eye(2, dtype=np.float32)[[0, 1, 1, 0, 1, 0]]


def images(seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(1, 255, (6, 20, 20, 1)).astype(np.uint8)


def vary(squares: Any, settings: config.Config, seed: int = 3) -> tuple[Any, Any]:
    seeds = tf.stack([tf.fill([len(squares)], tf.constant(seed, tf.int64)), tf.range(len(squares), dtype=tf.int64)], 1)
    found, labels = augmentation.vary({"image": tf.constant(squares)}, tf.constant(LABELS), seeds, settings=settings)
    return found["image"].numpy(), labels.numpy()


def test_without_any_variation_the_images_stay_what_they_are() -> None:
    found, labels = vary(images(), STILL)
    assert found == pytest.approx(images().astype(float), abs=0.05)
    assert np.array_equal(labels, LABELS)


def test_the_same_seed_varies_alike_and_another_otherwise() -> None:
    settings = config.Config()
    first, again, other = (vary(images(), settings, seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert np.abs(first - other).mean() > 1


def test_a_flip_mirrors_left_and_right_only() -> None:
    found, _ = vary(images(), dataclasses.replace(STILL, flip=True))
    mirrored = [np.allclose(new, old[:, ::-1], atol=0.05) for new, old in zip(found, images(), strict=True)]
    same = [np.allclose(new, old, atol=0.05) for new, old in zip(found, images(), strict=True)]
    assert all(a != b for a, b in zip(mirrored, same, strict=True))
    assert any(mirrored)


def test_no_image_moves_further_than_asked() -> None:
    dot = np.zeros((6, 41, 41, 1), np.uint8)
    dot[:, 20, 20] = 255
    found, _ = vary(dot, dataclasses.replace(STILL, shift_fraction=0.1, rotation_degrees=30.0))
    rows = np.arange(41)
    weight = np.maximum(found[:, :, :, 0] - 1, 0)
    down = (weight.sum(axis=2) * rows).sum(axis=1) / weight.sum(axis=(1, 2))
    across = (weight.sum(axis=1) * rows).sum(axis=1) / weight.sum(axis=(1, 2))
    assert np.abs(np.stack([down, across]) - 20).max() <= 4.2 * np.sqrt(2)
    assert np.abs(np.stack([down, across]) - 20).max() > 0.2


def test_exposure_changes_grey_values_and_keeps_them_in_range() -> None:
    found, _ = vary(images(), dataclasses.replace(STILL, exposure=0.5, noise=0.2))
    assert 0 <= found.min() < found.max() <= 255
    assert np.ptp(found.mean(axis=(1, 2, 3)) - images().mean(axis=(1, 2, 3))) > 5


def test_mixup_mixes_labels_as_it_mixes_images() -> None:
    flat = np.zeros((6, 4, 4, 1), np.uint8)
    flat[LABELS[:, 1] == 1] = 200
    found, labels = vary(flat, dataclasses.replace(STILL, mixup=1.0))
    assert found[:, 0, 0, 0] == pytest.approx(200 * labels[:, 1], abs=0.1)
    assert labels.sum(axis=1) == pytest.approx(1)
    assert ((labels > 0.02) & (labels < 0.98)).any()
