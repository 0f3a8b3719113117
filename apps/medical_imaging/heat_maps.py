"""Heat maps of the run's own network: which places of an image raise the score of a class, and the picture of that."""

import dataclasses
from typing import Any, TypeAlias

import keras
import matplotlib
import numpy as np
import numpy.typing as npt
import PIL.Image
from scipy import ndimage

from apps.medical_imaging import config
from apps.medical_imaging import run as loaded_run
from shared.explain import grad_cam, gradients
from shared.models import efficientnet

Floats: TypeAlias = npt.NDArray[np.float32]
Squares: TypeAlias = npt.NDArray[np.uint8]
Ints: TypeAlias = npt.NDArray[np.int64]

# Each step is a gradient of the whole network: 64 take seconds for a large one.
_GRADIENT_STEPS, _MOST_GRADIENT_STEPS, _GRADIENT_TOLERANCE = 32, 64, 0.1
# Contributions of single pixels are as noisy as the image; a spread of a fiftieth of the side shows where they gather.
_BLUR = 0.02
PICTURE_PIXELS = 448


def networks_of(run: loaded_run.Run) -> list[keras.Model]:
    """Return the networks inside the model that predicts: each sees one view of the image, as it is."""
    found = {id(layer): layer for layer in run.model.layers if isinstance(layer, keras.Model)}
    return list(found.values())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Method:
    """How a network's activations become a map.

    Attributes:
        name: As the report calls it.
        layer_path: The layer looked at.
        by_place: Whether features weigh by place; see ``grad_cam.maps``.
    """

    name: str
    layer_path: str
    by_place: bool = False


def activation_method(settings: config.Config) -> Method:
    """Return what shows where this network looks.

    EfficientNet-Lite0's last features see the whole of a small image at every place and show little of where: on
    validation phantoms of 128 pixels their highest place lay in an opacity in 0.08 of the images, which is chance;
    one stage of half the stride, weighed by place, reached 0.63.
    """
    if settings.model == "cnn":
        return Method(name="Grad-CAM", layer_path=f"cnn/stage_{len(settings.cnn_filters)}_relu")
    if settings.backbone == config.LITE:
        return Method(name="Grad-CAM by place (LayerCAM)", layer_path="stage_5_block_3_sum", by_place=True)
    return Method(name="Grad-CAM", layer_path=efficientnet.FEATURES_LAYER)


def grad_cam_maps(
    network: keras.Model, settings: config.Config, squares: Squares, targets: Ints, *, several: bool
) -> Floats:
    """Return (n, size, size) in [0, 1] by ``activation_method``.

    Args:
        network: One that ``networks_of`` returns, or a copy with other weights.
        settings: Of the run.
        squares: (n, size, size, channels).
        targets: (n,) classes or findings to explain.
        several: Whether an image may have several findings, each with a logit of its own.
    """
    found = np.zeros(squares.shape[:3], np.float32)
    method = activation_method(settings)
    for target in np.unique(targets):
        rows = targets == target
        model, column = _one_question(network, int(target), several=several)
        found[rows] = grad_cam.maps(
            model,
            squares[rows].astype(np.float32),
            layer_path=method.layer_path,
            by_place=method.by_place,
            targets=np.full(rows.sum(), column),
        )
    return found


def gradient_maps(network: keras.Model, square: Squares, target: int, *, several: bool) -> tuple[Floats, float]:
    """Return (1, size, size) in [0, 1] by integrated gradients from a black image, and the part that they miss.

    Contributions for the class are blurred; those against it are left out.

    Args:
        network: One that ``networks_of`` returns, or a copy with other weights.
        square: (size, size, channels).
        target: Class or finding to explain.
        several: Whether an image may have several findings, each with a logit of its own.
    """
    model, column = _one_question(network, target, several=several)
    found = gradients.integrated_gradients(
        model,
        square[None].astype(np.float32),
        layer_name=None,
        targets=np.array([column]),
        tolerance=_GRADIENT_TOLERANCE,
        steps=_GRADIENT_STEPS,
        maximum_steps=_MOST_GRADIENT_STEPS,
    )
    spread = np.maximum(ndimage.gaussian_filter(found.values[0].sum(axis=-1), _BLUR * len(square)), 0)
    return (spread / max(float(spread.max()), 1e-12))[None].astype(np.float32), float(found.completeness_error[0])


def overlay(square: Squares, heat: Floats | None = None) -> PIL.Image.Image:
    """Return the image as the network reads it, enlarged, with the heat over it where it is more than nothing.

    Args:
        square: (size, size, channels).
        heat: (size, size) in [0, 1].
    """
    base = PIL.Image.fromarray(square[..., 0] if square.shape[-1] == 1 else square).convert("RGB")
    base = base.resize((PICTURE_PIXELS, PICTURE_PIXELS), PIL.Image.Resampling.BICUBIC)
    if heat is None:
        return base
    enlarged = PIL.Image.fromarray(np.asarray(heat, np.float32)).resize(base.size, PIL.Image.Resampling.BILINEAR)
    strength = np.clip(np.asarray(enlarged), 0, 1)
    # The colours rise in lightness alone, so that grey print and colour-blind eyes keep the order.
    colours = PIL.Image.fromarray((matplotlib.colormaps["plasma"](strength)[..., :3] * 255).astype(np.uint8))
    return PIL.Image.composite(colours, base, PIL.Image.fromarray((strength * 0.6 * 255).astype(np.uint8)))


def ninth(heat: Floats) -> tuple[int, int]:
    """Return row and column, each 0 to 2, of the ninth of the picture in which the highest place lies."""
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    return 3 * int(row) // heat.shape[0], 3 * int(column) // heat.shape[1]


def with_ninth_covered(square: Squares) -> Squares:
    """Return (9, size, size, channels): the image with one ninth each, row by row, filled with its mean grey value."""
    covered = np.repeat(square[np.newaxis], 9, axis=0)
    edges = [round(side * len(square) / 3) for side in range(4)]
    for number in range(9):
        row, column = divmod(number, 3)
        inside = np.s_[edges[row] : edges[row + 1], edges[column] : edges[column + 1]]
        covered[number][inside] = np.round(square.mean(axis=(0, 1)))
    return covered


def place(heat: Floats) -> str:
    """Name the ninth of the picture the highest place lies.

    >>> place(np.eye(9, dtype=np.float32)[::-1] * np.arange(9))
    'the upper right of the picture'
    """
    row, column = ninth(heat)
    down, across = ("upper", "middle", "lower")[row], ("left", "centre", "right")[column]
    return f"the {down} {across} of the picture" if (down, across) != ("middle", "centre") else "its centre"


def _one_question(network: keras.Model, target: int, *, several: bool) -> tuple[Any, int]:
    """Return a model and the column whose log-odds are explained: a finding's logit is a log-odds against nothing."""
    if not several:
        return network, target
    kernel = np.zeros((network.output_shape[-1], 2), np.float32)
    kernel[target, 1] = 1.0
    either = keras.layers.Dense(2, use_bias=False, dtype="float32", name="either")
    model = keras.Model(network.inputs[0], either(network.outputs[0]), name="one_question")
    either.set_weights([kernel])
    return model, 1
