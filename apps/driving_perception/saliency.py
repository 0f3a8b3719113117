"""Where the score of a box comes from: LayerCAM of its place, checked by other weights and by greyed pixels."""

import dataclasses
from typing import TypeAlias

import cv2
import keras
import numpy as np
import numpy.typing as npt

from apps.driving_perception import boxes as box
from apps.driving_perception import config, model, preprocessing
from shared.explain import gradients, sanity_checks

# Share of the pixels around a box that is greyed to check a map.
_GREYED = 0.1

Map: TypeAlias = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Seen:
    """One image on its canvas, and what the network gives for every place.

    Attributes:
        name: Of the image.
        image: (height, width, 3) uint8 of the original.
        canvas: (1, canvas height, canvas width, 3) float32.
        geometry: (6,) as in ``preprocessing``.
        places: (n, classes + 7) float32.
    """

    name: str
    image: npt.NDArray[np.uint8]
    canvas: Map
    geometry: npt.NDArray[np.int64]
    places: Map

    @property
    def scores(self) -> Map:
        """(n, classes) in [0, 1]."""
        return np.asarray(1 / (1 + np.exp(-self.places[:, :-7])), np.float32)

    @property
    def xyxy(self) -> Map:
        """(n, 4) boxes in pixels of the original."""
        filled, original = self.geometry[preprocessing.FILLED], self.geometry[preprocessing.ORIGINAL]
        factor = np.tile((original / filled)[::-1], 2)
        cut = box.clip(self.places[:, -7:-3], width=float(filled[1]), height=float(filled[0]))
        return np.asarray(cut * factor, np.float32)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Explanation:
    """Where one score comes from.

    Attributes:
        heat: (height, width) of the canvas in [0, 1].
        shuffled: Whether the map changes when the weights are shuffled.
        without_brightest: The score when the brightest tenth of the map around the box is grey.
        without_darkest: The score when the darkest tenth is grey.
    """

    heat: Map
    shuffled: sanity_checks.RandomizationCheck
    without_brightest: float
    without_darkest: float

    @property
    def agrees(self) -> bool:
        """Whether the model needs what the map shows more than what it does not show."""
        return self.without_brightest < self.without_darkest


def explain(
    network: keras.Model, settings: config.Config, seen: Seen, place: int, label: int, *, seed: int
) -> Explanation:
    """Explain the score of one class at one place, and ask the network again with parts of the image greyed."""
    own = window(seen, place)

    def heat(asked: keras.Model) -> Map:
        return layer_cam(asked, seen.canvas, layer=model.finest_layer(settings), place=place, label=label)

    def inside(asked: keras.Model) -> Map:
        return heat(asked)[own][np.newaxis]

    found = heat(network)
    order = np.argsort(found[own], axis=None, kind="stable")
    count = max(round(_GREYED * order.size), 1)
    brightest, darkest = (
        _score_without(network, seen, own, chosen, place=place, label=label)
        for chosen in (order[-count:], order[:count])
    )
    return Explanation(
        heat=found,
        shuffled=sanity_checks.randomization(network, seen.canvas, inside, shares=(0.5, 1.0), seed=seed),
        without_brightest=brightest,
        without_darkest=darkest,
    )


def _score_without(
    network: keras.Model,
    seen: Seen,
    own: tuple[slice, slice],
    pixels: npt.NDArray[np.int64],
    *,
    place: int,
    label: int,
) -> float:
    """Return the score of a place when some pixels of a window, by their flat number, are grey."""
    changed = seen.canvas.copy()
    inside = changed[0][own]
    rows, columns = np.unravel_index(pixels, inside.shape[:2])
    inside[rows, columns] = preprocessing.GREY
    logit = keras.ops.convert_to_numpy(network(changed, training=False))[0, place, label]
    return float(1 / (1 + np.exp(-logit)))


def window(seen: Seen, place: int) -> tuple[slice, slice]:
    """Return the rows and columns of the canvas that hold a place's box and half as much around it.

    Far from its place no map has anything, whatever the weights: there, maps would be alike.
    """
    height, width = seen.canvas.shape[1:3]
    corners = seen.places[place, -7:-3]
    margin = np.maximum((corners[2:] - corners[:2]) / 4, seen.places[place, -1])
    left, top = np.maximum(corners[:2] - margin, 0).astype(int)
    right, bottom = np.ceil(np.minimum(corners[2:] + margin, (width, height))).astype(int)
    return slice(top, max(bottom, top + 2)), slice(left, max(right, left + 2))


def layer_cam(network: keras.Model, canvas: Map, *, layer: str, place: int, label: int) -> Map:
    """Return how much each place of a layer's features adds to one score, in the size of the canvas.

    Features weigh by their own gradient where that is positive (Jiang et al. 2021, equations 5 and 6).

    Args:
        network: As ``model.build`` returns it.
        canvas: (1, height, width, 3).
        layer: Of rows and columns of features.
        place: Row of the network's output.
        label: Class.

    Returns:
        (height, width) float32 in [0, 1]; 0 everywhere where nothing adds to it.
    """
    head, tail = gradients.cut(network, layer)
    inputs = keras.ops.convert_to_tensor(canvas)
    features = np.asarray(keras.ops.convert_to_numpy(head(inputs, training=False)), np.float32)
    _, gradient = gradients.value_and_gradient(
        lambda varied: tail([inputs, varied], training=False)[:, place, label], features
    )
    coarse = np.maximum((np.maximum(gradient, 0) * features).sum(axis=-1), 0)[0]
    fine = cv2.resize(coarse, canvas.shape[2:0:-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(fine / max(float(fine.max()), 1e-12), np.float32)


def overlay(seen: Seen, heat: Map) -> npt.NDArray[np.uint8]:
    """Return the image (height, width, 3) uint8 under its map, from dark (nothing) to yellow (most)."""
    filled = seen.geometry[preprocessing.FILLED]
    height, width = seen.image.shape[:2]
    fine = cv2.resize(heat[: filled[0], : filled[1]], (width, height), interpolation=cv2.INTER_LINEAR)
    colours = cv2.applyColorMap(np.round(fine * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    share = 0.65 * fine[..., np.newaxis]
    return np.asarray(seen.image * (1 - share) * 0.8 + colours * share, np.uint8)
