"""A finished run, opened to score texts: what evaluate, explain, predict --run-dir and export start from."""

import dataclasses
import pathlib
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from apps.sentiment import config, model, text
from apps.sentiment.readers import codes, labels
from shared import decision as decisions
from shared import files
from shared.evaluation import calibration
from shared.models import averaging

BATCH_ROWS = 256


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """A finished run.

    Attributes:
        folder: Its files.
        settings: Its resolved configuration.
        model: Texts (batch,) string to logits (batch, classes) float32.
        decision: Calibration, label and abstention, frozen on validation data.
        code: What labels mean in it; None where an earlier version trained it, which did not record it.
    """

    folder: files.RunFolder
    settings: config.Config
    model: keras.Model
    decision: decisions.Decision
    code: labels.Code | None = None

    @property
    def features(self) -> text.TextFeatures:
        """The layer that turns texts into numbers."""
        layer: text.TextFeatures = self.model.get_layer("text_features")
        return layer

    def logits(self, texts: npt.NDArray[np.object_]) -> npt.NDArray[np.float32]:
        """Return (n, classes) uncalibrated logits."""
        logits: npt.NDArray[np.float32] = predict(self.model, texts)
        return logits

    def scores(self, texts: npt.NDArray[np.object_]) -> npt.NDArray[np.float64]:
        """Return (n, classes) calibrated probabilities."""
        return self.decision.scores(self.logits(texts))

    def network_scores(self, texts: npt.NDArray[np.object_]) -> dict[str, npt.NDArray[np.float64]]:
        """Return each network's own probabilities (n, classes), calibrated by its own temperature."""
        average: averaging.CalibratedAverage = self.model.get_layer("logits")
        networks = keras.Model(self.model.inputs, average.input)
        logits = predict(networks, texts)
        columns = logits if isinstance(logits, list) else [logits]
        return {
            name: calibration.apply_temperature(column, temperature)
            for name, column, temperature in zip(self.settings.networks, columns, average.temperatures, strict=True)
        }


def open_run(path: pathlib.Path) -> Run:
    """Open a run folder.

    Raises:
        errors.InputError: It is no finished run.
    """
    folder = files.RunFolder.open(path)
    recorded = folder.path / codes.FILE
    return Run(
        folder=folder,
        settings=config.Config.from_json(files.read_json(folder.config), where=str(folder.config)),
        model=model.load(folder.model),
        decision=decisions.Decision.from_json(files.read_json(folder.decision)),
        code=labels.Code.from_json(files.read_json(recorded)) if recorded.exists() else None,
    )


def predict(network: keras.Model, texts: npt.NDArray[np.object_]) -> Any:
    """Run a model on texts, the short ones together: padding is what costs.

    Args:
        network: Takes {"text": (batch,) string}.
        texts: (n,) str.

    Returns:
        The model's output for every text, in the order of ``texts``; a list where the model has several.
    """
    order = np.argsort([len(string) for string in texts], kind="stable")
    batches = tf.data.Dataset.from_tensor_slices({"text": tf.constant(texts[order].tolist(), tf.string)})
    outputs = network.predict(batches.batch(BATCH_ROWS).prefetch(1), verbose=0)
    inverse = np.argsort(order)
    if isinstance(outputs, list):
        return [output[inverse] for output in outputs]
    return outputs[inverse]
