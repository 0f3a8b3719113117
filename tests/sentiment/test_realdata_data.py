import os
import pathlib

import pytest

from tests.sentiment import loading

FOLDER = os.environ.get("FIELDNETS_REAL_DATA")
pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not FOLDER, reason="FIELDNETS_REAL_DATA is not set"),
]


@pytest.fixture(scope="module")
def sst2():
    return pathlib.Path(FOLDER or "") / "sentiment" / "sst2"


def test_sst2_is_read_whole_with_its_official_parts(sst2):
    reviews = loading.load([str(sst2)])
    assert reviews.class_names == ("negative", "positive")
    assert [(reviews.fixed_parts == part).sum() for part in ("train", "test")] == [6_920, 872]
    assert reviews.texts[0] == (sst2 / "dev.txt").read_text(encoding="utf-8").split("\n")[0][2:]


def test_sst2_splits_without_a_duplicate_across_parts(sst2):
    split, certificate = loading.split(loading.load([str(sst2)]), seed=0)
    assert certificate["counts"]["test"]["rows"] == 872
    assert certificate["left_out_rows"] == certificate["checks"]["left_out_duplicates_across_official_parts"] == 1
    assert certificate["checks"]["exact_duplicate_rows"] == 10
    assert (split.part == "validation").sum() == pytest.approx(6_919 / 9, abs=1)


def test_the_train_file_alone_is_split_in_three(sst2):
    reviews = loading.load([str(sst2 / "train.txt")])
    _, certificate = loading.split(reviews, seed=0)
    assert certificate["fractions"] == pytest.approx({"train": 0.8, "validation": 0.1, "test": 0.1}, abs=0.001)
