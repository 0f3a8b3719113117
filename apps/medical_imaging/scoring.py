"""A finished run, opened to score images: what evaluate, explain, predict --run-dir and export start from."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from apps.medical_imaging import answers, backbones, config, model, preprocessing
from shared import files


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """A finished run.

    Attributes:
        folder: Its files.
        settings: Its resolved configuration.
        model: ``image`` (batch, size, size, channels) in [0, 255] to logits (batch, k) float32.
        rule: Calibration, labels and abstention, frozen on validation data.
    """

    folder: files.RunFolder
    settings: config.Config
    model: keras.Model
    rule: answers.Rule

    @property
    def task(self) -> str:
        """``multi_label`` where an image may have several findings, else ``single_label``."""
        return "multi_label" if isinstance(self.rule, answers.Findings) else "single_label"

    def logits(self, squares: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return (n, k) uncalibrated logits of decoded images (n, size, size, channels)."""
        found: npt.NDArray[np.float32] = self.model.predict(squares, batch_size=model.EVALUATION_ROWS, verbose=0)
        return found

    def say(self, items: Sequence[bytes | npt.NDArray[np.float32]]) -> dict[str, npt.NDArray[Any]]:
        """Return what the bundle says of encoded files and grey values: scores, labels, decision, valid."""
        size, channels = self.settings.image_size, self.settings.channels
        squares, valid = preprocessing.load(items, size=size, channels=channels)
        return answers.say(self.rule, self.logits(squares), valid)


def open_run(path: pathlib.Path) -> Run:
    """Open a run folder.

    Raises:
        errors.InputError: It is no finished run.
    """
    folder = files.RunFolder.open(path)
    settings = config.Config.from_json(files.read_json(folder.config), where=str(folder.config))
    backbones.require(settings)
    return Run(
        folder=folder,
        settings=settings,
        model=keras.models.load_model(folder.model, compile=False),
        rule=answers.from_json(files.read_json(folder.decision)),
    )
