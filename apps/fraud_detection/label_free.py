"""Networks that are trained without labels of fraud: an autoencoder, and one distilled from boosted trees.

The autoencoder learns what genuine transactions look like; its error is an anomaly score. The distilled network learns
the log-odds of trees on recombined transactions: where frauds are few, trees find thresholds that a network does not
find from the labels alone; a network that imitates them keeps what they found, and unlike them has gradients for
reasons and is part of the exported graph. Bucila, Caruana and Niculescu-Mizil 2006, "Model Compression".
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
from scipy import special

from apps.fraud_detection import baselines, config, inputs, jobs, layers, model
from shared.models import tabular
from shared.training import datasets
from shared.training import fit as fitting

Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]
Teacher: TypeAlias = Callable[[Arrays], npt.NDArray[np.float64]]

# The kinds of networks that are anomaly detectors.
DETECTORS = ("autoencoder", "gan")
DISTILLED = "distilled"
TEACHERS = 5
# Recombined rows per training row, and at most; of these, the share that only decides when to stop.
TIMES, MOST_ROWS, HELD_BACK = 10, 100_000, 0.1
# Half of the rows start from a fraud. Up to this share of a row's columns comes from another row; half of the rows are
# blurred by this much of a column's standard deviation.
FRAUDS, MOST_SWAPPED, BLUR = 0.5, 0.8, 0.1
# Surer than this, about 1 in 8,000, trees of a few hundred frauds cannot be.
MOST_LOG_ODDS = 9.0


def fit_autoencoder(name: str, job: jobs.Job) -> keras.Model:
    """Train on genuine rows to restore what it sees; the worse it restores a row, the likelier a fraud.

    How the logarithm of the error becomes log-odds is fitted on validation. Sakurada and Yairi 2014, "Anomaly
    Detection Using Autoencoders with Nonlinear Dimensionality Reduction".
    """
    numbers, labels = job.arrays["train"]["numbers"], job.labels["train"]
    network = build_autoencoder(job.inputs, job.settings, numbers)

    def examples(part: str) -> datasets.Arrays:
        genuine = job.arrays[part]["numbers"][job.labels[part] == 0]
        return datasets.Arrays(inputs={"numbers": genuine}, labels=standardized(network, genuine))

    fitting.fit(
        network,
        examples("train"),
        examples("validation"),
        settings=jobs.fit_settings(name, job.settings, rows=len(labels)),
        loss=keras.losses.MeanSquaredError(),
        monitor=minus_squared_error,
        outputs=job.outputs(name),
    )
    slope, offset = jobs.fit_score(as_classifier(network, slope=1.0, offset=0.0), job)
    return as_classifier(network, slope=slope, offset=offset)


def build_autoencoder(found: inputs.Inputs, settings: config.Config, numbers: npt.NDArray[np.float32]) -> keras.Model:
    """Build a network that squeezes standardized numbers through a narrow layer and restores them.

    Returns:
        An uncompiled model from ``numbers`` to (batch, columns) float32; compare with its layer ``standardized``.
    """
    tensors = model.keras_inputs(found, ("numbers",))
    x = tabular.Standardize(*tabular.standard_scale(numbers), name="standardized")(tensors["numbers"])
    wide = max(settings.hidden_units)
    for number, units in enumerate((wide, settings.code_units, wide), start=1):
        x = keras.layers.Dense(units, activation="elu", name=f"hidden_{number}")(x)
    return keras.Model(
        model.wanted(tensors), keras.layers.Dense(len(found.numbers), name="restored")(x), name="autoencoder"
    )


def standardized(network: keras.Model, numbers: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return what a network's layer ``standardized`` makes of ``numbers`` (n, columns)."""
    return np.asarray(network.get_layer("standardized")(numbers), np.float32)


def as_classifier(restoring: keras.Model, *, slope: float, offset: float) -> keras.Model:
    """Turn an autoencoder into a classifier: logits from the logarithm of its error."""
    tensors = {tensor.name: tensor for tensor in restoring.inputs}
    target = restoring.get_layer("standardized").output
    logits = layers.PlattLogits(slope, offset, name="logits")(
        layers.SquaredError(name="error")([target, restoring.output])
    )
    return keras.Model(model.wanted(tensors), logits, name=model.layer_name("autoencoder"))


def minus_squared_error(wanted: npt.NDArray[Any], restored: npt.NDArray[Any]) -> float:
    """Return minus the mean squared difference of two (n, columns)."""
    return -float(np.mean(np.square(np.float64(wanted) - restored)))


def fit_distilled(name: str, job: jobs.Job) -> keras.Model:
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
        monitor=minus_squared_error,
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
