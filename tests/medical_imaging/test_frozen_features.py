"""The frozen features: what the published network computes, of grey and of small pictures too."""

import numpy as np
import pytest

from apps.medical_imaging import model

pytestmark = pytest.mark.tensorflow


def pictures(side: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, side, side, channels), np.uint8)


def test_grey_pictures_have_the_features_of_the_same_picture_in_three_equal_colours() -> None:
    grey = model.frozen_features(pictures(96))
    assert grey.shape == (3, 1280)
    assert grey == pytest.approx(model.frozen_features(np.repeat(pictures(96), 3, axis=3)), abs=2e-3)
    assert np.ptp(grey, axis=0).max() > 0.1


def test_features_do_not_depend_on_the_batch() -> None:
    many = np.tile(pictures(96), (30, 1, 1, 1))
    assert model.frozen_features(many)[-3:] == pytest.approx(model.frozen_features(pictures(96)), abs=1e-4)


def test_small_pictures_are_enlarged_and_none_give_none() -> None:
    small = pictures(24)
    enlarged = np.repeat(np.repeat(small, 4, axis=1), 4, axis=2)
    near = model.frozen_features(small), model.frozen_features(enlarged)
    assert near[0].shape == near[1].shape == (3, 1280)
    assert model.frozen_features(small[:0]).shape == (0, 1280)
