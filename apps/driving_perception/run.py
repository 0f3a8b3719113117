"""A finished run, opened to look at images: what evaluate, explain, predict --run-dir and export start from."""

import dataclasses
import functools
import io
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
import PIL.Image
import tensorflow as tf

from apps.driving_perception import boxes as box
from apps.driving_perception import config, decision, frames, model, predictions, preprocessing
from apps.driving_perception.tracking import lane
from shared import errors, files

Item: TypeAlias = bytes | npt.NDArray[np.uint8]
# Images decoded at a time; the network sees one at a time.
ROWS_AT_ONCE = 16


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
        return detect(self.model, self.settings, collection, rows)

    def predict(self, items: Sequence[Item]) -> dict[str, npt.NDArray[Any]]:
        """Return the bundle's outputs for encoded files and for pictures (height, width, 3) uint8."""
        return _numpy(self._graph(tf.constant([as_file(item) for item in items], tf.string)))

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
        rule=decision.DecisionRule.from_json(files.read_json(folder.decision)),
    )


def detect(
    network: keras.Model, settings: config.Config, collection: frames.Frames, rows: npt.NDArray[np.int64]
) -> box.Detections:
    """Return all boxes down to the least score, numbered from 0 in the order of ``rows``.

    Raises:
        errors.InputError: A file is no image.
    """
    graph = predictions.graph(network, settings)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])  # type: ignore[untyped-decorator]
    def look(image_bytes: Any) -> tuple[Mapping[str, Any], Any]:
        canvases, geometry, valid = preprocessing.decode(image_bytes, image_size=settings.image_size)
        return graph(canvases, geometry, valid), valid

    found = []
    for start in range(0, len(rows), ROWS_AT_ONCE):
        chosen = rows[start : start + ROWS_AT_ONCE]
        content = [as_file(collection.images.read(int(row))) for row in chosen]
        seen, valid = look(tf.constant(content, tf.string))
        if not valid.numpy().all():
            name = collection.images.names[chosen[int(np.argmin(valid.numpy()))]]
            raise errors.InputError(f"{name}: expected an image that can be decoded. Received: another file")
        found.append(seen)
    return flat(found)


def flat(parts: Sequence[Mapping[str, Any]]) -> box.Detections:
    """Return the detections of batches, each (batch, most, ...), arrays or tensors, as one list of boxes."""
    found = {name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in parts[0]}
    present = np.arange(found["scores"].shape[1]) < found["count"][:, np.newaxis]
    image, _ = np.nonzero(present)
    return box.Detections.build(
        image=image, xyxy=found["boxes"][present], label=found["classes"][present], score=found["scores"][present]
    )


def as_file(item: Item) -> bytes:
    """Return an image as the graph reads it: JPEG and PNG as they are, others as PNG; what is no image as it is."""
    if isinstance(item, bytes):
        if item.startswith((b"\xff\xd8\xff", b"\x89PNG")):
            return item
        try:
            return _png(frames.decode(item, name=""))
        except errors.InputError:
            return item
    return _png(item)


def _png(image: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(image).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _numpy(tensors: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
    """Return tensors as arrays, names as text."""
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    return {
        name: np.array([text.decode() for text in values.ravel()], object).reshape(values.shape)
        if values.dtype == object
        else values
        for name, values in arrays.items()
    }
