"""A loaded run, and its own data: what evaluate, explain, predict --run-dir and export start from."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from apps.driving_perception import boxes as box
from apps.driving_perception import config, data, decision, frames, lane, model, partition, predictions, preprocessing
from shared import files, splits
from shared.splits import parts

Part: TypeAlias = parts.Part[frames.Frames]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """A finished run.

    Attributes:
        folder: Its files.
        settings: Its resolved configuration.
        model: ``image`` (batch, height, width, 3) in [0, 255] to ``places``; see ``model.build``.
        rule: Class names and the threshold, frozen on validation data.
    """

    folder: files.RunFolder
    settings: config.Config
    model: keras.Model
    rule: decision.DecisionRule

    @property
    def region(self) -> lane.Region:
        """The part of the image that is the own way."""
        return lane.Region.of(self.settings)

    def detect(self, collection: frames.Frames, rows: npt.NDArray[np.int64]) -> box.Detections:
        """Return all boxes that the network sees in some images, numbered from 0 in the order of ``rows``."""
        return predictions.detect(self.model, self.settings, collection, rows)

    def predict(self, items: Sequence[bytes | npt.NDArray[np.uint8]]) -> dict[str, npt.NDArray[Any]]:
        """Return the bundle's outputs for encoded files and for pictures (height, width, 3) uint8."""
        return _numpy(self._graph(tf.constant([frames.as_file(item) for item in items], tf.string)))

    @functools.cached_property
    def _graph(self) -> Callable[[Any], Mapping[str, Any]]:
        detector, size = predictions.graph(self.model, self.settings), self.settings.image_size

        def predict(image_bytes: Any) -> Mapping[str, Any]:
            canvases, geometry, valid = preprocessing.decode(image_bytes, image_size=size)
            found = detector(canvases, geometry, valid)
            return predictions.decide(found, geometry, valid, rule=self.rule, region=self.region)

        return tf.function(predict, input_signature=[tf.TensorSpec([None], tf.string)])  # type: ignore[no-any-return]


def open_run(path: pathlib.Path) -> Run:
    """Open a run folder.

    Raises:
        errors.InputError: It is no finished run.
    """
    folder = files.RunFolder.open(path)
    settings = config.Config.from_json(files.read_json(folder.config), where=str(folder.config))
    return Run(
        folder=folder,
        settings=settings,
        model=model.load(folder.model, settings),
        rule=decision.DecisionRule.from_json(files.read_json(folder.decision), where=str(folder.decision)),
    )


def own_data(run: Run, *, quarantine: pathlib.Path | None = None) -> tuple[frames.Frames, splits.Split]:
    """Read the run's source and split it again; an `errors.GateError` where it has changed since the run.

    Args:
        run: The finished run.
        quarantine: Where its bad boxes and images are listed, if it sets them aside.
    """
    collection = data.load(run.settings, class_names=run.rule.class_names, quarantine=quarantine)
    split, _ = data.split(collection, run.settings)
    return collection, parts.checked_split(split, data.content_hashes(collection), run.folder)


def other_part(
    run: Run,
    own: frames.Frames,
    split: splits.Split,
    settings: config.Config,
    name: str,
    *,
    quarantine: pathlib.Path,
) -> Part:
    """Return other data, whole or by their official part, without images that the model was trained on.

    Raises:
        errors.InputError: The part was named and the data have no such official part, or no unseen image is left.
    """
    others = data.load(settings, class_names=run.rule.class_names, quarantine=quarantine)
    return parts.of_others(
        others,
        name,
        content_hashes=data.content_hashes(others),
        trained_on=data.content_hashes(own)[split.rows("train")],
        units=lambda: partition.units(
            others, partition.near(others, settings.near_duplicate_distance), block_frames=settings.block_frames
        ),
        noun="images",
    )


def _numpy(tensors: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
    """Return tensors as arrays, names as text."""
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    return {
        name: np.array([text.decode() for text in values.ravel()], object).reshape(values.shape)
        if values.dtype == object
        else values
        for name, values in arrays.items()
    }
