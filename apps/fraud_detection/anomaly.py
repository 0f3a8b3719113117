"""Networks that learn what genuine transactions look like: anomaly scores without labels of fraud."""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from apps.fraud_detection import config, inputs, jobs, layers, model
from shared.models import tabular
from shared.training import datasets
from shared.training import fit as fitting

KINDS = ("autoencoder", "gan")


def fit(name: str, job: jobs.Job) -> keras.Model:
    """Train on genuine rows to restore what it sees; the worse it restores a row, the likelier a fraud.

    How the logarithm of the error becomes log-odds is fitted on validation. Sakurada and Yairi 2014, "Anomaly
    Detection Using Autoencoders with Nonlinear Dimensionality Reduction".
    """
    numbers, labels = job.arrays["train"]["numbers"], job.labels["train"]
    network = build(job.inputs, job.settings, numbers)

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


def build(found: inputs.Inputs, settings: config.Config, numbers: npt.NDArray[np.float32]) -> keras.Model:
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
