"""Parts follow each other in time as the protocol says, and nothing crosses."""

import dataclasses

import numpy as np
import pytest

from apps.fraud_detection import data, folds
from apps.fraud_detection.config import Config
from apps.fraud_detection.transactions import UNKNOWN, Transactions
from shared import errors

START = int(np.datetime64("2018-05-10", "D").astype(int))


@pytest.fixture(scope="module")
def settings(town: Config) -> Config:
    return town.replace({"folds": 2, "start": "2018-05-10", "train_days": 7, "test_days": 7, "validation_days": 7})


@pytest.fixture(scope="module")
def made(booked: Transactions, settings: Config) -> list[folds.Fold]:
    return folds.split(booked, settings)[0]


def test_windows_are_those_of_the_protocol(booked: Transactions, made: list[folds.Fold]) -> None:
    for number, fold in enumerate(made):
        begins = START + 7 * number
        windows = {"validation": begins - 14, "train": begins, "test": begins + 14}
        for part, first in windows.items():
            days = booked.days[fold.rows(part)]
            assert (days.min(), days.max()) == (first, first + 6), part


def test_nothing_is_learnt_or_calibrated_on_whose_label_is_not_known_yet(
    booked: Transactions, made: list[folds.Fold]
) -> None:
    for fold in made:
        tested = booked.days[fold.test].min()
        assert booked.days[np.concatenate([fold.train, fold.validation])].max() <= tested - 8


def test_blocked_cards_are_not_tested_and_others_are(booked: Transactions, made: list[folds.Fold]) -> None:
    fold = made[0]
    days, payers = booked.days, booked.entities["customer"]
    for row in np.flatnonzero((days >= START + 14) & (days < START + 21)):
        known = (payers == payers[row]) & (booked.labels == 1) & (days >= START) & (days < days[row] - 7)
        assert (row in fold.test) == (not known.any())


def test_the_certificate_is_of_the_newest_fold_and_lists_all(booked: Transactions, settings: Config) -> None:
    made, certificate = folds.split(booked, settings)
    assert certificate["counts"]["test"]["rows"] == len(made[-1].test)
    assert [each["train"]["first_day"] for each in certificate["checks"]["folds"]] == ["2018-05-10", "2018-05-17"]
    assert certificate["unit"] == "card and day"


def test_a_start_that_does_not_fit_gives_the_last_folds_that_do(booked: Transactions, settings: Config) -> None:
    made, _ = folds.split(booked, settings.replace({"start": "2030-01-01"}))
    assert booked.days[made[-1].test].max() == booked.days.max()


def test_short_data_are_cut_by_shares_in_order_of_time(booked: Transactions, settings: Config) -> None:
    short = booked.take(np.flatnonzero(booked.days < booked.days[0] + 20))
    (fold,), certificate = folds.split(short, settings)
    parts = [short.time[fold.rows(part)] for part in ("train", "validation", "test")]
    assert parts[0].max() < parts[1].min() <= parts[1].max() < parts[2].min()
    assert sum(map(len, parts)) == len(short)
    assert certificate["method"].startswith("Chronological")
    with pytest.raises(errors.InputError, match="expected at least 42 days for 2 prequential folds"):
        folds.split(short, settings.replace({"protocol": "prequential"}))


def test_rows_without_a_label_are_in_no_part(booked: Transactions, settings: Config) -> None:
    labels = np.where(np.arange(len(booked)) % 3 == 0, UNKNOWN, booked.labels)
    made, _ = folds.split(dataclasses.replace(booked, labels=labels), settings)
    assert not any((labels[fold.rows(part)] == UNKNOWN).any() for fold in made for part in ("train", "test"))


def test_a_part_of_one_class_is_an_error_that_says_which(booked: Transactions, settings: Config) -> None:
    labels = np.where(booked.days >= START, 0, booked.labels)
    with pytest.raises(errors.InputError, match=r"in the train part of fold 1 .*'fraud': 0"):
        folds.split(dataclasses.replace(booked, labels=labels), settings)


def test_the_source_reads_alike_each_time(town: Config, booked: Transactions) -> None:
    again = data.load(town)
    assert again.sha256 == booked.sha256
    assert np.array_equal(again.content_hashes(), booked.content_hashes())
