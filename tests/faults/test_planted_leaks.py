"""Leaks that are planted in a random place are found, and none is found in data that have none."""

import dataclasses
import pathlib

import numpy as np
import pandas as pd
import pytest

from apps.driving_perception import simulator as roads
from apps.fraud_detection import data as payments
from apps.fraud_detection import inputs
from apps.fraud_detection.config import Config
from apps.fraud_detection.transactions import Transactions
from shared import errors, splits
from tests.driving_perception import loading as of_roads
from tests.faults import trials
from tests.sentiment import loading as of_texts

pytestmark = pytest.mark.fault("planted leak")


def certify(part: np.ndarray, unit: np.ndarray, contents: np.ndarray) -> dict[str, object]:
    split = splits.Split(part=part, unit=unit, unit_name="patient", method="planted", seed=0)
    labels = np.zeros(len(part), np.int64)
    return splits.certificate(split, labels=labels, content_hashes=contents, class_names=("one",), checks={})


def test_a_patient_or_a_picture_in_two_parts_is_found(tried: trials.Trials) -> None:
    for seed in range(trials.count(50, 2_000)):
        generator = np.random.default_rng(seed)
        unit = np.repeat(np.arange(40), generator.integers(2, 6, 40))
        part = generator.choice(splits.PARTS, 40)[unit]
        contents = np.arange(len(unit), dtype=np.uint64)
        row = generator.integers(len(unit))
        with tried.one(f"clean {seed}"):
            assert certify(part, unit, contents)["overlap"] == {
                "units_in_two_parts": 0,
                "identical_content_in_two_parts": 0,
            }
        with tried.one(f"a patient {seed}"):
            torn = part.copy()
            torn[row] = generator.choice([each for each in splits.PARTS if each != part[row]])
            with pytest.raises(errors.GateError, match=r"unit \(patient\) in one part only\. Received: 1 in several"):
                certify(torn, unit, contents)
        with tried.one(f"a picture {seed}"):
            other = generator.choice(np.flatnonzero(part != part[row]))
            copied = contents.copy()
            copied[other] = copied[row]
            with pytest.raises(errors.GateError, match=r"identical content in one part only\. Received: 1 in several"):
                certify(part, unit, copied)


def test_duplicated_texts_stay_in_one_part_and_are_counted(tmp_path: pathlib.Path, tried: trials.Trials) -> None:
    for seed in range(trials.count(3, 40)):
        generator = np.random.default_rng(seed)
        texts = [" ".join(f"w{word}" for word in generator.integers(0, 5_000, 12)) for _ in range(60)]
        planted = generator.choice(60, generator.integers(1, 12), replace=False)
        copies = [f"{texts[row]} {texts[row][:5]}" for row in planted]
        for found in (copies, []):
            with tried.one(f"{len(found)} copies {seed}"):
                every = [*texts, *found]
                labels = (["pos", "neg"] * len(every))[: len(every)]
                pd.DataFrame({"text": every, "label": labels}).to_csv(tmp_path / "a.csv", index=False)
                reviews = of_texts.load([str(tmp_path / "a.csv")])
                split, certificate = of_texts.split(reviews, seed=seed, near_duplicate_threshold=0.7)
                assert certificate["checks"]["near_duplicate_pairs"] == len(found)
                assert [split.part[60 + place] for place in range(len(found))] == [
                    split.part[row] for row in planted[: len(found)]
                ]


def test_neighbouring_frames_in_two_parts_are_found(tmp_path: pathlib.Path, tried: trials.Trials) -> None:
    rendered = roads.render(sequences=12, frames=2, seed=0, width=48, height=32)
    names, sequences = rendered.images.names, rendered.sequences
    for seed in range(trials.count(4, 60)):
        generator = np.random.default_rng(seed)
        wanted = dict(zip(np.unique(sequences).tolist(), generator.permutation([*splits.PARTS] * 4), strict=True))
        part = np.array([wanted[sequence] for sequence in sequences], object)
        torn = part.copy()
        row = generator.integers(len(part))
        torn[row] = generator.choice([each for each in splits.PARTS if each != part[row]])
        for name, parts in (("clean", part), ("torn", torn)):
            with tried.one(f"{name} {seed}"):
                pd.DataFrame({"id": names, "part": parts}).to_csv(tmp_path / "split.csv", index=False)
                if name == "clean":
                    split, _ = of_roads.split(rendered, seed=0, split_file=tmp_path / "split.csv")
                    assert split.part.tolist() == part.tolist()
                    continue
                with pytest.raises(errors.GateError, match="in one part only"):
                    of_roads.split(rendered, seed=0, split_file=tmp_path / "split.csv")


@pytest.fixture(scope="module")
def booked() -> Transactions:
    return payments.load(Config.smoke().replace({"customers": 60, "terminals": 80, "days": 40}))


def test_what_comes_later_changes_no_feature_of_what_came_before(booked: Transactions, tried: trials.Trials) -> None:
    whole = inputs.compute_history(booked, booked.schema)
    assert whole
    for seed in range(trials.count(5, 200)):
        with tried.one(seed):
            generator = np.random.default_rng(seed)
            now = int(generator.integers(50, len(booked) - 50))
            amounts, labels = booked.amount.copy(), booked.labels.copy()
            amounts[now:] = generator.gamma(2.0, 5_000.0, len(booked) - now)
            labels[now:] = generator.integers(0, 2, len(booked) - now)
            planted = dataclasses.replace(booked, amount=amounts, labels=labels)
            for name, values in inputs.compute_history(planted, booked.schema).items():
                np.testing.assert_array_equal(values[:now], whole[name][:now], err_msg=name)
            early = inputs.compute_history(booked.take(np.arange(now)), booked.schema)
            for name, values in early.items():
                np.testing.assert_array_equal(values, whole[name][:now], err_msg=name)
