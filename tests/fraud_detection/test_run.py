"""The parts of a run's own data: each fold's rows, without those that the newest model has learned from since."""

import pathlib
import types
from typing import Any

import numpy as np
import pytest

from apps.fraud_detection import folds
from apps.fraud_detection import run as loaded_run
from apps.fraud_detection.config import Config
from apps.fraud_detection.transactions import Transactions
from shared import errors, files
from tests import helpers


@pytest.fixture(scope="module")
def settings(town: Config) -> Config:
    return town.replace({"folds": 2, "train_days": 7, "test_days": 7, "validation_days": 7})


@pytest.fixture(scope="module")
def own(booked: Transactions, settings: Config) -> Any:
    return types.SimpleNamespace(transactions=booked, history={}, folds=folds.split(booked, settings)[0])


@pytest.fixture
def run(settings: Config, tmp_path: pathlib.Path) -> Any:
    folder = files.RunFolder(tmp_path)
    files.write_json(folder.split, helpers.a_certificate("card and day"))
    return types.SimpleNamespace(settings=settings, folder=folder)


def learn(run: Any, own: Any, rows: np.ndarray) -> None:
    loaded_run.add_learned(run.folder.path, own.transactions.row_hashes()[rows])


def test_a_part_is_that_of_every_fold_and_all_is_for_the_newest_model(run: Any, own: Any) -> None:
    part = loaded_run.own_part(run, own, "test")
    assert [each.rows.tolist() for each in part.folds] == [fold.test.tolist() for fold in own.folds]
    (whole,) = loaded_run.own_part(run, own, "all").folds
    assert (whole.fold, len(whole.rows)) == (1, int((own.transactions.labels >= 0).sum()))


def test_rows_that_an_update_learned_from_are_left_out_of_the_newest_part_and_counted(run: Any, own: Any) -> None:
    used = own.folds[1].test[:5]
    learn(run, own, used)
    part = loaded_run.own_part(run, own, "test")
    assert part.folds[0].rows.tolist() == own.folds[0].test.tolist()
    assert part.folds[1].rows.tolist() == own.folds[1].test[5:].tolist()
    assert " 5 rows of the newest part, from which updates learned since, are left out." in part.protocol


def test_training_rows_stay_whatever_an_update_learned(run: Any, own: Any) -> None:
    learn(run, own, own.folds[1].train)
    part = loaded_run.own_part(run, own, "train")
    assert part.folds[1].rows.tolist() == own.folds[1].train.tolist()
    assert "left out" not in part.protocol


def test_a_part_that_an_update_has_used_up_is_refused(run: Any, own: Any) -> None:
    learn(run, own, own.folds[1].test)
    with pytest.raises(errors.InputError, match="used up this part"):
        loaded_run.own_part(run, own, "test")
