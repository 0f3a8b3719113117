"""The network up to its grids, which other engines run, and the places that its grids stand for.

What other engines run ends with the logits and sides of each grid, before ``model.Places`` turns them into boxes: in 8
bits, coordinates of hundreds of pixels and logits cannot share a scale.
"""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from apps.driving_perception import canvas, config, model, predictions

GRIDS = tuple(f"{name}_{stride}" for stride in model.STRIDES for name in ("logits", "sides"))


def cut(network: keras.Model) -> keras.Model:
    """Return the network from ``image`` to its grids (batch, height / stride, width / stride, classes or 4) by name."""
    tensors = [tensor for place in _places(network) for tensor in place.input]
    return keras.Model(network.input, dict(zip(GRIDS, tensors, strict=True)), name="network")


def places_of(network: keras.Model, grids: Mapping[str, Any]) -> Any:
    """Return the places (batch, n, classes + 7), as of ``model.build``, that grids by name stand for."""
    tensors = [grids[name] for name in GRIDS]
    found = [place(tensors[2 * i : 2 * i + 2]) for i, place in enumerate(_places(network))]
    return keras.ops.concatenate(found, axis=1)


def stride(name: str) -> int:
    """Return the pixels between the places of a grid.

    >>> stride("logits_16")
    16
    """
    return int(name.rpartition("_")[2])


def of_grids(model: keras.Model, settings: config.Config) -> Callable[..., Mapping[str, Any]]:
    """Return the function that returns what ``predictions.graph`` does from another engine's grids.

    It takes grids by name, each (batch, height, width, values) in the upper left corner of its row, and the geometry
    and validity of the images.
    """

    def detect(grids: Mapping[str, Any], geometry: Any, valid: Any) -> Mapping[str, Any]:
        sides = tf.maximum(geometry, canvas.STRIDE)

        def places(row: Any) -> Any:
            own = {}
            for name, values in grids.items():
                height, width = (sides[row, column] // stride(name) for column in (2, 3))
                own[name] = values[row, :height, :width][tf.newaxis]
            return places_of(model, own)

        return predictions.in_pixels(places, sides, geometry, valid, settings)

    return detect


def usage(network: keras.Model, settings: config.Config) -> dict[str, Any]:
    """Return what who runs a written network without the bundle must know to scale an image and to read the grids."""
    return {
        "image": {"layout": "batch, height, width, colours", "range": [0, 255], "colours": "red, green, blue"},
        "canvas": {
            "image_size": settings.image_size,
            "multiple_of": canvas.STRIDE,
            "longest": canvas.LONGEST,
            "padding_grey": canvas.GREY,
        },
        "grids": {
            "strides": list(model.STRIDES),
            "factors": [float(place.factor.numpy()) for place in _places(network)],
            "meaning": "score = sigmoid(logit); the place of row j and column i is ((i + 0.5) * stride, "
            f"(j + 0.5) * stride); left, top, right, bottom lie exp(clip(side * factor, -{model.LARGEST_EXPONENT:g}, "
            f"{model.LARGEST_EXPONENT:g})) * stride pixels of the canvas from it",
        },
        "suppression_overlap": settings.suppression_overlap,
        "most_detections": settings.most_detections,
    }


def _places(network: keras.Model) -> list[Any]:
    return [network.get_layer(f"places_{number}") for number in range(len(model.STRIDES))]
