"""A loaded run, and its own data: what evaluate, explain, predict --run-dir and export start from."""

import dataclasses
import pathlib
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from apps.sentiment import config, corpus, data, dataset, model, preprocessing
from apps.sentiment.readers import codes
from shared import decision as decisions
from shared import errors, files, splits
from shared.evaluation import calibration
from shared.models import averaging
from shared.splits import parts


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
    code: dataset.Code | None = None

    @property
    def features(self) -> preprocessing.TextFeatures:
        """The layer that turns texts into numbers."""
        layer: preprocessing.TextFeatures = self.model.get_layer("text_features")
        return layer

    def logits(self, texts: npt.NDArray[np.object_]) -> npt.NDArray[np.float32]:
        """Return (n, classes) uncalibrated logits."""
        logits: npt.NDArray[np.float32] = corpus.predict(self.model, texts)
        return logits

    def scores(self, texts: npt.NDArray[np.object_]) -> npt.NDArray[np.float64]:
        """Return (n, classes) calibrated probabilities."""
        return self.decision.scores(self.logits(texts))

    def predictions(self, texts: npt.NDArray[np.object_]) -> dict[str, npt.NDArray[Any]]:
        """Return what the serving signature returns: scores (n, classes), labels (n,), decision (n,)."""
        scores = self.scores(texts)
        labels = np.array(self.decision.class_names, object)[self.decision.predicted(scores)]
        return {"scores": scores, "labels": labels, "decision": self.decision.decisions(scores)}

    def network_scores(self, texts: npt.NDArray[np.object_]) -> dict[str, npt.NDArray[np.float64]]:
        """Return each network's own probabilities (n, classes), calibrated by its own temperature."""
        average: averaging.CalibratedAverage = self.model.get_layer("logits")
        networks = keras.Model(self.model.inputs, average.input)
        logits = corpus.predict(networks, texts)
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
    recorded = folder.path / dataset.CODE_FILE
    decision = decisions.Decision.from_json(files.read_json(folder.decision), where=str(folder.decision))
    return Run(
        folder=folder,
        settings=config.Config.from_json(files.read_json(folder.config), where=str(folder.config)),
        model=model.load(folder.model, classes=len(decision.class_names)),
        decision=decision,
        code=dataset.Code.from_json(files.read_json(recorded), where=str(recorded)) if recorded.exists() else None,
    )


def own_data(run: Run, *, quarantine: pathlib.Path | None = None) -> tuple[dataset.Reviews, splits.Split]:
    """Read the run's source again and split it again, and check that both are what the certificate says.

    Args:
        run: The finished run.
        quarantine: Where its bad rows are listed, if it sets them aside.

    Raises:
        errors.GateError: The source has changed since the run.
    """
    names = run.decision.class_names
    if run.code is None:
        reviews = data.load(run.settings, class_names=names, quarantine=quarantine)
    else:
        reviews = data.load(run.settings, code=run.code, quarantine=quarantine)
        if reviews.class_names != names:
            raise errors.GateError(
                f"The run's data have changed: expected the classes {', '.join(names)}. "
                f"Received: {', '.join(reviews.class_names)}"
            )
    split, _ = data.split(reviews, run.settings)
    return reviews, parts.checked_split(split, data.content_hashes(reviews), run.folder)


def other_part(
    run: Run,
    own: dataset.Reviews,
    split: splits.Split,
    settings: config.Config,
    name: str,
    *,
    quarantine: pathlib.Path | None = None,
) -> parts.Part[dataset.Reviews]:
    """Return other data, whole or by their official part, without texts that the model was trained on.

    Args:
        run: The finished run.
        own: The run's own texts.
        split: Their split.
        settings: Which source, and how to read it.
        name: Which of its official parts, or ``all``.
        quarantine: Where bad rows go with ``skip_bad``.

    Raises:
        errors.InputError: The part was named and the data have no such official part, or no unseen text is left.
    """
    reviews = data.load(settings, class_names=run.decision.class_names, code=own.code, quarantine=quarantine)
    guessed = tuple(note for note in own.notes if note.startswith(codes.UNRECORDED))
    return parts.of_others(
        dataclasses.replace(reviews, notes=(*reviews.notes, *guessed)),
        name,
        content_hashes=data.content_hashes(reviews),
        trained_on=data.content_hashes(own)[split.rows("train")],
        units=lambda: data.group(reviews).unit,
        noun="texts",
    )
