"""Baselines on planted pixels."""

import warnings

import numpy as np
import numpy.typing as npt
import pytest
from sklearn import metrics as sklearn_metrics

from apps.medical_imaging import baselines

Floats = npt.NDArray[np.float64]


def part(number: int, *, seed: int, classes: int = 2) -> tuple[baselines.Part, npt.NDArray[np.int64]]:
    """Images whose class brightens a quadrant of its own."""
    random = np.random.default_rng(seed)
    labels = random.integers(classes, size=number)
    images = random.normal(100, 20, (number, 32, 32, 1))
    for row, label in enumerate(labels):
        images[row, 16 * (label // 2) :, 16 * (label % 2) :][:16, :16] += 6
    one_hot = np.eye(classes, dtype=np.float32)[labels]
    thumbnails = baselines.thumbnails(images.clip(0, 255).astype(np.uint8))
    return baselines.Part(features=thumbnails, labels=one_hot), labels


def test_thumbnails_keep_the_mean_of_every_image_also_where_sizes_do_not_divide() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 100, 70, 3)).astype(np.uint8)
    small = baselines.thumbnails(images)
    assert small.shape == (3, 16, 16)
    np.testing.assert_allclose(small.mean(axis=(1, 2)), images.mean(axis=(1, 2, 3)), rtol=1e-5)


def test_thumbnails_of_a_whole_multiple_are_block_means() -> None:
    images = np.random.default_rng(0).random((2, 64, 64))
    blocks = images.reshape(2, 16, 4, 16, 4).mean(axis=(2, 4))
    np.testing.assert_allclose(baselines.thumbnails(images), blocks, rtol=1e-5)


def test_images_that_are_too_small_or_flat_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 16"):
        baselines.thumbnails(np.zeros((2, 8, 8)))
    with pytest.raises(ValueError, match="Received"):
        baselines.thumbnails(np.zeros((2, 64)))


@pytest.mark.parametrize("classes", [2, 3])
def test_the_linear_baseline_finds_what_pixels_show_and_gives_calibrated_probabilities(classes: int) -> None:
    (train, _), (validation, _), (test, truth) = (
        part(number, seed=seed, classes=classes) for seed, number in ((0, 300), (1, 150), (2, 200))
    )
    found = baselines.fit(train, validation, task="single_label", seed=0)
    assert list(found) == ["pixel_logistic", "majority"]
    scores = found["pixel_logistic"](test.features)
    np.testing.assert_allclose(scores.sum(axis=1), 1)
    assert (scores.argmax(axis=1) == truth).mean() > 0.8
    share = np.bincount(truth, minlength=classes) / len(truth)
    assert sklearn_metrics.log_loss(truth, scores) < sklearn_metrics.log_loss(truth, np.tile(share, (len(truth), 1)))
    np.testing.assert_allclose(found["majority"](test.features)[0], train.labels.mean(axis=0), rtol=1e-6)


def test_one_class_leaves_only_the_class_shares() -> None:
    train, _ = part(40, seed=0)
    only = baselines.Part(features=train.features, labels=np.tile(np.array([0, 1], np.float32), (40, 1)))
    assert list(baselines.fit(only, only, task="single_label", seed=0)) == ["majority"]


def test_a_class_missing_from_training_gets_nothing_and_one_missing_from_validation_does_not_stop() -> None:
    train, labels = part(120, seed=0, classes=3)
    seen = labels < 2
    without = baselines.Part(features=train.features[seen], labels=train.labels[seen])
    scores = baselines.fit(without, train, task="single_label", seed=0)["pixel_logistic"](train.features)
    assert (scores[:, 2] == 0).all()
    baselines.fit(train, without, task="single_label", seed=0)


def test_findings_are_fitted_each_on_the_images_it_is_known_for() -> None:
    train, labels = part(300, seed=0)
    findings = np.stack([labels == 1, labels == 0, np.zeros(300)], axis=1).astype(np.float32)
    findings[:50, 0] = np.nan
    findings[:, 2] = np.nan
    known = baselines.Part(features=train.features, labels=findings)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = baselines.fit(known, known, task="multi_label", seed=0)
    scores = found["pixel_logistic"](train.features)
    assert sklearn_metrics.roc_auc_score(labels, scores[:, 0]) > 0.9
    assert sklearn_metrics.roc_auc_score(labels == 0, scores[:, 1]) > 0.9
    assert (scores[:, 2] == 0).all()
    assert found["majority"](train.features)[0, 0] == pytest.approx(np.nanmean(findings[:, 0]))


def test_the_same_seed_gives_the_same_scores() -> None:
    train, _ = part(100, seed=0)
    first, second = (
        baselines.fit(train, train, task="single_label", seed=3)["pixel_logistic"](train.features) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
