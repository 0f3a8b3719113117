"""Copies are found, blurred images are not taken for copies, and a gain is claimed only where there is one."""

import numpy as np
import pytest
import scipy.ndimage
from sklearn import linear_model

from apps.medical_imaging import synthesis
from shared import errors
from shared.evaluation import classification


def textures(rows: int, *, seed: int, side: int = 32) -> np.ndarray:
    """Smooth random images, which differ from each other as those of different patients do."""
    noise = np.random.default_rng(seed).normal(size=(rows, side, side))
    smooth = scipy.ndimage.gaussian_filter(noise, (0, 3, 3))
    return np.clip(128 + 300 * smooth, 0, 255).astype(np.uint8)[..., np.newaxis]


TRAIN, HOLDOUT, FRESH = textures(120, seed=1), textures(60, seed=2), textures(60, seed=3)


def test_images_of_the_same_kind_are_no_copies() -> None:
    found = synthesis.find_copies(FRESH, TRAIN, HOLDOUT)
    assert not found.found
    assert found.copies.value == 0
    assert found.closeness.low < 0.5 < found.closeness.high
    assert found.conclusion.startswith("No memorisation found. 0 of 60")


@pytest.mark.parametrize("change", ["exact", "brighter", "noisy"])
def test_one_planted_copy_is_found_and_named(change: str) -> None:
    copy = TRAIN[17].astype(float)
    if change == "brighter":
        copy = 0.7 * copy + 60
    if change == "noisy":
        copy += np.random.default_rng(0).normal(scale=10, size=copy.shape)
    synthetic = FRESH.copy()
    synthetic[5] = np.clip(copy, 0, 255).astype(np.uint8)
    found = synthesis.find_copies(synthetic, TRAIN, HOLDOUT)
    assert found.found
    assert np.flatnonzero(found.ratio < synthesis.COPY_RATIO).tolist() == [5]
    assert found.nearest[5] == 17
    assert "do not share" in found.conclusion


def test_images_halfway_to_training_images_are_too_close_without_being_copies() -> None:
    mixed = (0.55 * TRAIN[:60] + 0.45 * FRESH).astype(np.uint8)
    found = synthesis.find_copies(mixed, TRAIN, HOLDOUT)
    assert found.closeness.low > 0.5
    assert found.found


def test_blurred_images_lie_nearer_and_are_still_no_copies() -> None:
    blurred = scipy.ndimage.gaussian_filter(FRESH, (0, 3, 3, 0))
    found = synthesis.find_copies(blurred, TRAIN, HOLDOUT)
    assert found.synthetic_distance < found.holdout_distance
    assert found.copies.value == 0


def test_the_distances_are_those_of_correlation_over_every_pair() -> None:
    found = synthesis.find_copies(FRESH, TRAIN, HOLDOUT)
    rows = np.concatenate([FRESH, TRAIN]).reshape(180, -1)
    distances = np.sqrt(2 - 2 * np.corrcoef(rows)[:60, 60:])
    ordered = np.sort(distances, axis=1)
    np.testing.assert_array_equal(found.nearest, distances.argmin(axis=1))
    np.testing.assert_allclose(found.ratio, ordered[:, 0] / ordered[:, 1:51].mean(axis=1), rtol=1e-4)
    assert found.synthetic_distance == pytest.approx(np.median(ordered[:, 0]), rel=1e-4)


def test_a_blank_image_breaks_nothing() -> None:
    blank = np.zeros_like(FRESH)
    assert np.isfinite(synthesis.find_copies(blank, TRAIN, HOLDOUT).ratio).all()


def test_too_few_or_unlike_images_are_named() -> None:
    with pytest.raises(errors.InputError, match=r"holdout images: expected at least 2.*Received: \(1, 32, 32, 1\)"):
        synthesis.find_copies(FRESH, TRAIN, HOLDOUT[:1])
    with pytest.raises(errors.InputError, match="synthetic images"):
        synthesis.find_copies(textures(5, seed=1, side=16), TRAIN, HOLDOUT)


def marked(rows: int, *, seed: int, strength: float = 12) -> tuple[np.ndarray, np.ndarray]:
    """Noise in which the right half of an image of class 1 is a little brighter."""
    generator = np.random.default_rng(seed)
    labels = np.arange(rows) % 2
    images = generator.normal(128, 40, (rows, 8, 8, 1))
    images[:, :, 4:] += strength * labels[:, None, None, None]
    return np.clip(images, 0, 255).astype(np.uint8), labels


def logistic(images: np.ndarray, labels: np.ndarray, seed: int) -> synthesis.Score:
    kept = np.random.default_rng(seed).permutation(len(images))[: max(len(images) * 9 // 10, 4)]
    model = linear_model.LogisticRegression(C=0.001, max_iter=200).fit(flat(images[kept]), labels[kept])
    return lambda new: model.predict_proba(flat(new))


def flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1) / 40.0


TEST = marked(400, seed=9)


def compare(
    synthetic: tuple[np.ndarray, np.ndarray], *, real: int = 12, seeds: tuple[int, ...] = (0,)
) -> synthesis.Comparison:
    return synthesis.compare_training(
        marked(real, seed=5), synthetic, TEST, fit_classifier=logistic, seeds=seeds, resamples=300
    )


def test_more_images_of_the_same_kind_are_a_gain() -> None:
    found = compare(marked(600, seed=6))
    assert found.gain
    assert found.conclusion.startswith("Gain: with 600 synthetic images added, AUROC changes by +")
    assert dict(found.images) == {"real_only": 12, "real_and_synthetic": 612, "synthetic_only": 600}


def test_the_real_images_once_more_are_no_gain() -> None:
    found = compare(marked(200, seed=5), real=200)
    assert not found.gain
    assert found.conclusion.startswith("No gain: with 200 synthetic images added")


def test_images_that_say_nothing_are_no_gain() -> None:
    assert not compare(marked(60, seed=6, strength=0), real=400).gain


def test_images_under_the_wrong_class_are_a_loss() -> None:
    images, labels = marked(900, seed=6)
    found = compare((images, 1 - labels), real=200)
    assert found.conclusion.startswith("No gain, but a loss: ")
    assert found.values["synthetic_only"].value < 0.5


def test_the_values_are_the_mean_of_the_seeds_with_paired_differences() -> None:
    synthetic, seeds = marked(100, seed=6), (0, 1)
    found = compare(synthetic, real=40, seeds=seeds)
    real = marked(40, seed=5)
    alone = [classification.auroc(TEST[1], logistic(*real, seed)(TEST[0])) for seed in seeds]
    assert found.values["real_only"].value == pytest.approx(np.mean(alone))
    assert found.spread["real_only"] == (min(alone), max(alone))
    both = found.values["real_and_synthetic"]
    difference = found.differences["real_and_synthetic"]
    assert difference.value == pytest.approx(both.value - np.mean(alone))
    # Pairing takes out what is hard about a test image for both.
    assert difference.high - difference.low < (both.high - both.low) + (found.values["real_only"].high - np.mean(alone))


def test_the_table_holds_every_arm() -> None:
    found = compare(marked(60, seed=6))
    table = found.table()
    assert [row[0] for row in table.rows] == ["Real only", "Real + synthetic", "Synthetic only"]
    assert table.rows[0][-1] is None


def test_no_seed_and_unlike_images_are_refused() -> None:
    with pytest.raises(errors.InputError, match="0 seeds"):
        compare(marked(60, seed=6), seeds=())
    with pytest.raises(errors.InputError, match="like the real ones"):
        compare((np.zeros((4, 9, 9, 1), np.uint8), np.array([0, 1, 0, 1])))
