"""Networks that learn what genuine transactions look like: anomaly scores without labels of fraud."""

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import numpy.typing as npt

from apps.fraud_detection import config, model, synthesis
from apps.fraud_detection import run as loaded_run
from shared.evaluation import calibration
from shared.training import datasets
from shared.training import fit as fitting

if TYPE_CHECKING:
    from apps.fraud_detection.train import Job

KINDS = ("autoencoder", "gan")


def fit(name: str, job: "Job") -> keras.Model:
    """Train an anomaly detector on the genuine training rows and return it as a classifier, to logits (batch, 2)."""
    if config.kind(name) == "gan":
        return synthesis.fit_classifier(name, job)
    return fit_autoencoder(name, job)


def fit_autoencoder(name: str, job: "Job") -> keras.Model:
    """Train on genuine rows to restore what it sees; the worse it restores a row, the likelier a fraud.

    How the logarithm of the error becomes log-odds is fitted on validation. Sakurada and Yairi 2014, "Anomaly
    Detection Using Autoencoders with Nonlinear Dimensionality Reduction".
    """
    numbers, labels = job.arrays["train"]["numbers"], job.labels["train"]
    network = model.build_autoencoder(job.inputs, job.settings, numbers)

    def examples(part: str) -> datasets.Arrays:
        genuine = job.arrays[part]["numbers"][job.labels[part] == 0]
        return datasets.Arrays(inputs={"numbers": genuine}, labels=model.standardized(network, genuine))

    fitting.fit(
        network,
        examples("train"),
        examples("validation"),
        settings=model.fit_settings(name, job.settings, rows=len(labels)),
        loss=keras.losses.MeanSquaredError(),
        monitor=minus_squared_error,
        outputs=job.outputs(name),
    )
    slope, offset = fit_score(model.anomaly_classifier(network, slope=1.0, offset=0.0), job)
    return model.anomaly_classifier(network, slope=slope, offset=offset)


def fit_score(unscaled: keras.Model, job: "Job") -> tuple[float, float]:
    """Return slope and offset that turn an anomaly score, given as log-odds, into log-odds of fraud on validation."""
    logits = loaded_run.predict(unscaled, job.arrays["validation"])
    return calibration.fit_platt(logits[:, 1] - logits[:, 0], job.labels["validation"])


def minus_squared_error(wanted: npt.NDArray[Any], restored: npt.NDArray[Any]) -> float:
    """Return minus the mean squared difference of two (n, columns)."""
    return -float(np.mean(np.square(np.float64(wanted) - restored)))
