"""A loaded run, and its own data: what evaluate, explain, predict --run-dir and export start from."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from apps.medical_imaging import config, data, decision, model, preprocessing
from shared import errors, files, splits
from shared.models import building
from shared.splits import parts


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """A finished run.

    Attributes:
        folder: Its files.
        settings: Its resolved configuration.
        model: ``image`` (batch, size, size, channels) in [0, 255] to logits (batch, k) float32.
        rule: Calibration, labels and abstention, frozen on validation data.
        grey_bits: How many bits of 16-bit images are in use, as found in the training source.
    """

    folder: files.RunFolder
    settings: config.Config
    model: keras.Model
    rule: decision.Rule
    grey_bits: int = preprocessing.DEEPEST

    @property
    def task(self) -> str:
        """``multi_label`` where an image may have several findings, else ``single_label``."""
        return "multi_label" if isinstance(self.rule, decision.MultiLabelDecision) else "single_label"

    def logits(self, squares: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return (n, k) uncalibrated logits of decoded images (n, size, size, channels).

        Raises:
            errors.InputError: They are not finite.
        """
        found: npt.NDArray[np.float32] = self.model.predict(squares, batch_size=model.EVALUATION_ROWS, verbose=0)
        wrong = int((~np.isfinite(found)).any(axis=1).sum())
        if wrong:
            raise errors.InputError(
                f"{self.folder.model}: expected finite logits; the training diverged, train again with a smaller "
                f"--learning-rate. Received: others for {wrong} of {len(found)} images"
            )
        return found

    def predictions(self, items: Sequence[bytes | npt.NDArray[np.float32]]) -> dict[str, npt.NDArray[Any]]:
        """Return scores, labels, decision and valid of encoded files and grey values, as the bundle does."""
        squares, valid = self.squares(items)
        return decision.predictions(self.rule, self.logits(squares), valid)

    def squares(
        self, items: Sequence[bytes | npt.NDArray[np.float32]]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
        """Return what the network reads of encoded files and grey values, and which of them are images."""
        settings = self.settings
        squares, valid = preprocessing.load(
            items, size=settings.image_size, channels=settings.channels, grey_bits=self.grey_bits
        )
        return squares, valid


def open_run(path: pathlib.Path) -> Run:
    """Open a run folder.

    Raises:
        errors.InputError: It is no finished run.
    """
    folder = files.RunFolder.open(path)
    settings = config.Config.from_json(files.read_json(folder.config), where=str(folder.config))
    model.require_backbone(settings)
    rule = decision.from_json(files.read_json(folder.decision), where=str(folder.decision))
    return Run(
        folder=folder,
        settings=settings,
        model=building.load(folder.model, logits=len(rule.class_names)),
        rule=rule,
        grey_bits=preprocessing.read_grey_bits(folder),
    )


def own_data(run: Run, *, quarantine: pathlib.Path | None = None) -> tuple[data.Radiographs, splits.Split]:
    """Read the run's source again and split it again, and check that both are what the certificate says.

    Args:
        run: The finished run.
        quarantine: Where its bad images are listed, if it sets them aside.

    Raises:
        errors.GateError: The source has changed since the run.
    """
    radiographs = data.load(
        run.settings,
        class_names=run.rule.class_names,
        quarantine=quarantine,
        grey_bits=run.grey_bits,
        decodes=preprocessing.decodes,
    )
    split, _ = data.split(radiographs, run.settings)
    return radiographs, parts.checked_split(split, data.content_hashes(radiographs), run.folder)


def other_part(
    run: Run,
    own: data.Radiographs,
    split: splits.Split,
    settings: config.Config,
    name: str,
    *,
    quarantine: pathlib.Path | None = None,
) -> parts.Part[data.Radiographs]:
    """Return other data, whole or by their official part, without images that the model was trained on.

    Bad ones are listed in ``quarantine`` where ``settings`` set them aside.

    Raises:
        errors.InputError: The part was named and the data have no such official part, or no unseen image is left.
    """
    others = data.load(
        settings,
        class_names=run.rule.class_names,
        quarantine=quarantine,
        grey_bits=run.grey_bits,
        decodes=preprocessing.decodes,
    )
    return parts.of_others(
        others,
        name,
        content_hashes=data.content_hashes(others),
        trained_on=data.content_hashes(own)[split.rows("train")],
        units=lambda: np.unique(others.patients.astype(str), return_inverse=True)[1],
        noun="images",
    )
