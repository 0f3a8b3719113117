import itertools

import numpy as np
import pytest
from scipy import ndimage

from apps.medical_imaging import evaluation_inputs

# Smooth blobs with some grain: on pure noise every geometric change is as large as any other.
_GRAIN = np.random.default_rng(0).normal(size=(2, 96, 96, 1))
SQUARES = np.clip(128 + 500 * ndimage.gaussian_filter(_GRAIN, (0, 8, 8, 0)) + 8 * _GRAIN, 30, 225).astype(np.uint8)


@pytest.mark.parametrize("kind", evaluation_inputs.CORRUPTIONS)
def test_each_level_changes_the_images_more_than_the_one_before(kind: str) -> None:
    changes = []
    for level in range(evaluation_inputs.CORRUPTION_LEVELS):
        worse = evaluation_inputs.corrupt(kind, level, SQUARES, seed=1)
        assert worse.shape == SQUARES.shape
        assert worse.dtype == np.uint8
        assert np.array_equal(worse, evaluation_inputs.corrupt(kind, level, SQUARES, seed=1))
        changes.append(np.abs(worse.astype(int) - SQUARES).mean())
    assert len(changes) == 5
    assert changes[0] > 0
    # Grain is soon gone, whichever way: what is left changes little.
    assert all(mild <= strong * 1.2 for mild, strong in itertools.pairwise(changes))
    assert changes[-1] > 1.1 * changes[0]


def test_exposure_moves_brightness_the_way_its_name_says() -> None:
    darker, brighter = (evaluation_inputs.corrupt(f"{name}exposure", 1, SQUARES, seed=0) for name in ("over", "under"))
    assert darker.mean() < SQUARES.mean() < brighter.mean()
