"""A finished run, opened to score transactions: what evaluate, explain, predict --run-dir and export start from."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from scipy import special

from apps.fraud_detection import config, inputs, model
from apps.fraud_detection import decision as decision_rule
from shared import errors, files
from shared.models import averaging
from shared.training import workers

BATCH_ROWS = 8_192


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scorer:
    """A trained model with its threshold.

    Attributes:
        model: {array name: (batch, ...)} to logits (batch, 2).
        inputs: Which arrays those are.
        decision_rule: The threshold, frozen on validation data.
    """

    model: keras.Model
    inputs: inputs.Inputs
    decision_rule: decision_rule.DecisionRule

    def scores(self, arrays: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
        """Return (n,) calibrated probabilities of fraud of ``inputs.arrays``.

        Raises:
            errors.InputError: One is no number: the model is broken.
        """
        found = probabilities(predict(self.model, arrays))
        broken = int(np.isnan(found).sum())
        if broken:
            raise errors.InputError(
                f"the model: expected a probability for each transaction. Received: NaN for {broken:,} of "
                f"{len(found):,}; train it again"
            )
        return found

    def network_scores(
        self, networks: Sequence[str], arrays: Mapping[str, npt.NDArray[Any]]
    ) -> dict[str, npt.NDArray[np.float64]]:
        """Return the own probabilities (n,) of each of the model's networks, calibrated by its temperature."""
        average: averaging.CalibratedAverage = self.model.get_layer("logits")
        tensors = average.input if isinstance(average.input, list) else [average.input]
        found = {}
        for name, tensor, temperature in zip(networks, tensors, average.temperatures, strict=True):
            alone = keras.Model(self.model.input, tensor)
            found[name] = probabilities(predict(alone, arrays) / temperature)
        return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """A finished run.

    Attributes:
        folder: Its files.
        settings: Its resolved configuration.
        folds: The scorer of each fold, oldest first; the last is the one that is exported.
    """

    folder: files.RunFolder
    settings: config.Config
    folds: tuple[Scorer, ...]

    @property
    def newest(self) -> Scorer:
        """The scorer of the newest fold."""
        return self.folds[-1]

    @property
    def inputs(self) -> inputs.Inputs:
        """The arrays that the newest fold's model reads."""
        return self.newest.inputs


def fold_folder(folder: files.RunFolder, number: int) -> pathlib.Path:
    """Return where the model of an older fold is kept; ``number`` counts from 1."""
    return folder.path / "folds" / str(number)


def save(scorer: Scorer, path: pathlib.Path) -> None:
    """Write ``model.keras``, ``inputs.json`` and, last, ``decision.json``."""
    with files.atomic(path / "model.keras") as temporary:
        scorer.model.save(temporary)
    files.write_json(path / inputs.FILE, scorer.inputs.to_json())
    files.write_json(path / "decision.json", scorer.decision_rule.to_json())


def load(path: pathlib.Path) -> Scorer:
    """Read what ``save`` wrote."""
    return Scorer(
        model=keras.models.load_model(path / "model.keras", compile=False),
        inputs=inputs.Inputs.from_json(files.read_json(path / inputs.FILE)),
        decision_rule=decision_rule.DecisionRule.from_json(files.read_json(path / "decision.json")),
    )


def open_run(path: pathlib.Path, *, every_fold: bool = False) -> Run:
    """Open a run folder.

    Args:
        path: The folder.
        every_fold: Whether the models of older folds are needed too.

    Raises:
        errors.InputError: It is no finished run.
    """
    folder = files.RunFolder.open(path)
    settings = config.Config.from_json(files.read_json(folder.config), where=str(folder.config))
    older = sorted((path / "folds").glob("*/"), key=lambda each: int(each.name)) if every_fold else []
    return Run(folder=folder, settings=settings, folds=(*(load(each) for each in older), load(path)))


def predict(network: keras.Model, arrays: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
    """Return a model's output for every row of the arrays that it reads."""
    given = {tensor.name: arrays[tensor.name] for tensor in network.inputs}
    with workers.alone(network):
        return np.asarray(network.predict(model.wanted(given), batch_size=BATCH_ROWS, verbose=0), np.float32)


def probabilities(logits: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    """Return the probability of fraud (n,) of logits (n, 2)."""
    return np.asarray(special.expit(np.float64(logits[:, 1]) - np.float64(logits[:, 0])), np.float64)
