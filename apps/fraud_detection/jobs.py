"""What the networks of one fold are trained on and how: arrays and labels, settings, where their traces go."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from apps.fraud_detection import config, inputs, model, preprocessing
from apps.fraud_detection.folds import Fold
from apps.fraud_detection.transactions import Transactions
from shared import files
from shared.evaluation import calibration
from shared.training import datasets, workers
from shared.training import fit as fitting


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """What the networks of one fold are trained on.

    Attributes:
        inputs: Which arrays there are.
        arrays: Part -> array name -> rows, of ``train`` and ``validation``.
        labels: Part -> (n,) int64.
        settings: How to train.
        folder: Where traces go.
        prefix: Of the networks' names in the history, such as ``fold_1/``; empty for a single fold.
    """

    inputs: inputs.Inputs
    arrays: Mapping[str, Mapping[str, npt.NDArray[Any]]]
    labels: Mapping[str, npt.NDArray[np.int64]]
    settings: config.Config
    folder: files.RunFolder
    prefix: str

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks to train."""
        return model.networks(self.settings, self.inputs)

    def examples(self, network: str, part: str) -> datasets.Arrays:
        """Return what a network reads of a part."""
        return as_arrays(self.arrays[part], model.reads(network, self.inputs), self.labels[part])

    def outputs(self, network: str) -> fitting.Outputs:
        """Return where a network's training leaves its traces."""
        name = f"{self.prefix}{network}"
        checkpoints = self.folder.checkpoints / name
        return fitting.Outputs(
            checkpoints=checkpoints, history=checkpoints / "history.csv", logs=self.folder.logs / name
        )


def prepare(
    transactions: Transactions,
    history: Mapping[str, npt.NDArray[np.float32]],
    fold: Fold,
    settings: config.Config,
    folder: files.RunFolder,
    *,
    prefix: str,
) -> Job:
    """Turn the training and validation rows of a fold into arrays.

    Args:
        transactions: All rows, oldest first.
        history: Feature -> (n,) float32 of all rows.
        fold: The rows to learn from and to calibrate on.
        settings: How to train.
        folder: Where traces go.
        prefix: Of the networks' names in the history.
    """
    length = settings.sequence_length if any(config.kind(name) == "sequence" for name in settings.networks) else 0
    learnt = inputs.learn(transactions, fold.train, sequence_length=length)
    arrays = {
        part: preprocessing.arrays(learnt, transactions, history, fold.rows(part)) for part in ("train", "validation")
    }
    labels = {part: transactions.labels[fold.rows(part)] for part in ("train", "validation")}
    return Job(
        inputs=inputs.learn_typical(learnt, arrays["train"], labels["train"]),
        arrays=arrays,
        labels=labels,
        settings=settings,
        folder=folder,
        prefix=prefix,
    )


def fit_settings(network: str, settings: config.Config, *, rows: int) -> fitting.FitSettings:
    """Return how to train a network; what the config leaves open depends on the number of rows."""
    many = rows >= model.MANY_ROWS
    return fitting.FitSettings(
        epochs=settings.epochs or (8 if many else 15),
        batch_size=settings.batch_size or (512 if many else 64),
        optimizer=settings.optimizer,
        learning_rate=settings.learning_rate if many else settings.learning_rate / 2,
        schedule=settings.schedule,
        weight_decay=settings.weight_decay if settings.optimizer == "adamw" else 0.0,
        patience=settings.patience,
        seed=seed(network, settings),
        evaluation_batch_size=8_192,
        steps_per_execution=8,
    )


def seed(network: str, settings: config.Config) -> int:
    """Return a network's seed; copies have their own."""
    return fitting.seed_of_copy(settings.seed, config.copy_number(network))


def weights(labels: npt.NDArray[np.int64], settings: config.Config) -> npt.NDArray[np.float32] | None:
    """Return what each row counts in the loss; None: all the same.

    What a row stands for in the population does not count here: a network that sees the sample as it is ranked
    better on every fold tried, and probabilities are mended by the weighted calibration.
    """
    if math.isclose(settings.fraud_weight, 1.0):
        return None
    return np.where(labels == 1, settings.fraud_weight, 1.0).astype(np.float32)


def as_arrays(
    given: Mapping[str, npt.NDArray[Any]], names: tuple[str, ...], labels: npt.NDArray[Any]
) -> datasets.Arrays:
    """Return the named arrays as a network's examples."""
    return datasets.Arrays(inputs={name: given[name] for name in names}, labels=labels)


def fit_score(unscaled: keras.Model, job: Job) -> tuple[float, float]:
    """Return slope and offset that turn an anomaly score, given as log-odds, into log-odds of fraud on validation."""
    with workers.alone(unscaled):
        logits = model.predict(unscaled, job.arrays["validation"])
    return calibration.fit_platt(logits[:, 1] - logits[:, 0], job.labels["validation"])
