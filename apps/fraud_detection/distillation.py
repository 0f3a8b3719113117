"""A network distilled from boosted trees: it learns their log-odds on recombined transactions, without any label.

Where frauds are few, trees find thresholds that a network does not find from the labels alone; a network that imitates
them keeps what they found, and unlike them has gradients for reasons and is part of the exported graph. Bucila, Caruana
and Niculescu-Mizil 2006, "Model Compression".
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
from scipy import special

from apps.fraud_detection import anomaly, baselines, jobs, model
from shared.training import fit as fitting

Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]
Teacher: TypeAlias = Callable[[Arrays], npt.NDArray[np.float64]]

KIND = "distilled"
TEACHERS = 5
# Recombined rows per training row, and at most; of these, the share that only decides when to stop.
TIMES, MOST_ROWS, HELD_BACK = 10, 100_000, 0.1
# Half of the rows start from a fraud. Up to this share of a row's columns comes from another row; half of the rows are
# blurred by this much of a column's standard deviation.
FRAUDS, MOST_SWAPPED, BLUR = 0.5, 0.8, 0.1
# Surer than this, about 1 in 8,000, trees of a few hundred frauds cannot be.
MOST_LOG_ODDS = 9.0


def fit(name: str, job: jobs.Job) -> keras.Model:
    """Train the teachers on the training rows, and a network to logits (batch, 2) on their log-odds."""
    train, labels = job.arrays["train"], job.labels["train"]
    teacher = fit_teacher(job)
    rows = min(TIMES * len(labels), MOST_ROWS)
    read = model.reads(name, job.inputs)
    drawn = recombined(
        {each: train[each] for each in read}, labels, rows, np.random.default_rng(jobs.seed(name, job.settings))
    )
    targets = as_logits(teacher(drawn))
    learnt = round(rows * (1 - HELD_BACK))
    network = model.build(name, job.inputs, job.settings, train["numbers"])
    fitting.fit(
        network,
        jobs.as_arrays({each: values[:learnt] for each, values in drawn.items()}, read, targets[:learnt]),
        jobs.as_arrays({each: values[learnt:] for each, values in drawn.items()}, read, targets[learnt:]),
        settings=jobs.fit_settings(name, job.settings, rows=rows),
        loss=keras.losses.MeanSquaredError(),
        monitor=anomaly.minus_squared_error,
        outputs=job.outputs(name),
    )
    return network


def fit_teacher(job: jobs.Job) -> Teacher:
    """Return a function from arrays to the mean log-odds (n,) of several boosted trees that differ in their seeds."""
    fitted = [
        baselines.fit_trees(
            job.arrays["train"],
            job.labels["train"],
            job.arrays["validation"],
            job.labels["validation"],
            seed=job.settings.seed + number,
        )
        for number in range(TEACHERS)
    ]
    return lambda arrays: np.mean([special.logit(predict(arrays)) for predict in fitted], axis=0)


def recombined(
    arrays: Arrays, labels: npt.NDArray[np.int64], rows: int, rng: np.random.Generator
) -> dict[str, npt.NDArray[Any]]:
    """Draw rows between and around those of ``arrays``: each takes some columns from a second one.

    Args:
        arrays: ``numbers`` (n, columns) float32, and ``categories`` (n, columns) int32 if there are any.
        labels: (n,) in {0, 1}; frauds are drawn as often as genuine rows.
        rows: How many.
        rng: Source of every choice.

    Returns:
        The same arrays with ``rows`` rows.
    """
    fraud, genuine = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    first, second = (
        np.where(rng.random(rows) < FRAUDS, rng.choice(fraud, rows), rng.choice(genuine, rows)) for _ in range(2)
    )
    swapped = MOST_SWAPPED * rng.random((rows, 1))
    found = {
        name: np.where(rng.random((rows, values.shape[1])) < swapped, values[second], values[first])
        for name, values in arrays.items()
    }
    width = BLUR * np.nanstd(arrays["numbers"].astype(np.float64), axis=0) * (rng.random((rows, 1)) < 0.5)
    blurred = found["numbers"] + np.nan_to_num(width) * rng.standard_normal(found["numbers"].shape)
    return {**found, "numbers": blurred.astype(np.float32)}


def as_logits(log_odds: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return (n, 2) logits of genuine and fraud with these log-odds (n,), bounded."""
    half = np.clip(log_odds, -MOST_LOG_ODDS, MOST_LOG_ODDS) / 2
    return np.stack([-half, half], axis=1).astype(np.float32)
