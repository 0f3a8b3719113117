"""The detector: a colour image of any size in, one guess per place of three grids out.

One stage and no anchors: a backbone, a path aggregation pyramid over its last three sizes, and a head that says of
every place of each grid which obstacle is there and how far its four sides are. In ``keras.ops`` only.
"""

import dataclasses
import math
import pathlib
from typing import Any

import keras

from apps.driving_perception import config
from shared import errors
from shared.models import building, efficientnet, packages, pretrained

STRIDES = (8, 16, 32)
# Columns after the class logits: left, top, right, bottom of the box, then x, y of the place and its grid's stride, all
# in pixels of the canvas. With them a loss needs to know nothing of grids.
GEOMETRY_COLUMNS = 7
# The share of places with an obstacle that the head believes in before it has seen any (Lin et al. 2017,
# "Focal loss", section 4.1).
PRIOR = 0.01
# exp(+-8) strides is as far as a side can be from a place; beyond lies only overflow.
LARGEST_EXPONENT = 8.0

# The last layers of 8, 16 and 32 pixels a place in EfficientNet-Lite0.
TAPS = ("stage_3_block_2_sum", "stage_5_block_3_sum", "stage_7_block_1_project_normalization")

# The layer that holds a preset's backbone, and the layer with its finest features.
NESTED, _FINEST = "backbone", "finest"


def build(settings: config.Config, *, classes: int) -> keras.Model:
    """Build the network that ``settings`` name, not yet trained.

    Returns:
        ``image`` (batch, height, width, 3) float32 in [0, 255], the sides multiples of 32, to ``places`` (batch, n,
        classes + 7) float32, n = height * width * 21 / 1024: class logits, and the ``GEOMETRY_COLUMNS``.

    Raises:
        errors.InputError: ImageNet weights or a preset are wanted and not to be had.
    """
    image = keras.Input((None, None, 3), name="image")
    levels = _pyramid(_levels(image, settings), channels=settings.pyramid_channels)
    head = _Head(classes=classes, channels=settings.pyramid_channels, depth=settings.head_depth)
    places = [head(level, number) for number, level in enumerate(levels)]
    joined = keras.layers.Concatenate(axis=1, dtype="float32", name="places")(places)
    return keras.Model(image, joined, name="detector")


def load(path: pathlib.Path, settings: config.Config) -> keras.Model:
    """Open a network that was saved; its own layers are known to Keras once this module is.

    Raises:
        errors.InputError: Its backbone is KerasHub's, which is not installed.
    """
    if settings.is_preset:
        packages.require_kerashub()
    return building.load(path)


def finest_layer(settings: config.Config) -> str:
    """Return the name of the layer with the finest features that the pyramid reads, of 8 pixels a place."""
    return {config.LITE: TAPS[0], config.RESIDUAL: "stage_2_sum"}.get(settings.backbone, _FINEST)


def _levels(image: Any, settings: config.Config) -> list[Any]:
    """Return what the backbone sees at strides of 8, 16 and 32 pixels."""
    if settings.is_preset:
        return _from_preset(image, settings)
    return _lite0(image, settings) if settings.backbone == config.LITE else _residual(image, settings)


def _from_preset(image: Any, settings: config.Config) -> list[Any]:
    preset, scaled = pretrained.load_preset(settings.backbone, weights=settings.pretrained, image_shape=(None, None, 3))
    found = getattr(preset, "pyramid_outputs", {})
    wanted = [f"P{int(math.log2(stride))}" for stride in STRIDES]
    if not set(wanted) <= set(found):
        raise errors.InputError(
            f"--backbone {settings.backbone}: expected a backbone with the outputs {', '.join(wanted)}. "
            f"Received: {type(preset).__name__} with {', '.join(found) or 'none of them'}"
        )
    taps = keras.Model(preset.input, [found[name] for name in wanted], name=NESTED)
    levels = list(taps(scaled(image)))
    return [keras.layers.Identity(name=_FINEST)(levels[0]), *levels[1:]]


def _lite0(image: Any, settings: config.Config) -> list[Any]:
    whole = efficientnet.build_efficientnet_lite(
        input_shape=(None, None, 3), classes=2, drop_connect_rate=settings.drop_connect_rate
    )
    if settings.pretrained:
        pretrained.load_efficientnet_lite0(whole)
    taps = keras.Model(whole.input, [whole.get_layer(name).output for name in TAPS])
    return list(_inline(taps, image))


def _inline(model: keras.Model, image: Any) -> Any:
    """Apply a model's own layers, so that they are layers of the network around it and can be frozen by name."""
    return keras.models.clone_model(model, input_tensors=image, clone_function=lambda layer: layer).outputs


def _residual(image: Any, settings: config.Config) -> list[Any]:
    """A small residual network from scratch: sizes 1/2 to 1/32, the last three returned."""
    x = keras.layers.Rescaling(1 / 64.0, offset=-2.0, dtype="float32", name="scaled")(image)
    x = _convolve(x, settings.cnn_filters[0], strides=2, name="stem")
    levels = []
    for number, filters in enumerate(settings.cnn_filters, start=1):
        # Averaged before it is narrowed (He et al. 2019, "Bag of tricks", ResNet-D), and never a 1 x 1 kernel of
        # stride 2: gradients of small ones corrupt the memory of TensorFlow 2.21 with oneDNN.
        halved = keras.layers.AveragePooling2D(2, padding="same", name=f"stage_{number}_halved")(x)
        shortcut = keras.layers.Conv2D(filters, 1, name=f"stage_{number}_shortcut")(halved)
        x = _convolve(x, filters, strides=2, name=f"stage_{number}_first")
        x = _convolve(x, filters, name=f"stage_{number}_second")
        x = keras.layers.Add(name=f"stage_{number}_sum")([x, shortcut])
        levels.append(x)
    return levels[-3:]


def _pyramid(levels: list[Any], *, channels: int) -> list[Any]:
    """Tell the fine sizes what the coarse ones see, then the coarse ones where the fine ones see it (Liu 2018)."""
    levels = [_convolve(x, channels, kernel_size=1, name=f"lateral_{i}") for i, x in enumerate(levels)]
    for i in (1, 0):
        wider = keras.layers.UpSampling2D(2, name=f"wider_{i}")(levels[i + 1])
        summed = keras.layers.Add(name=f"down_{i}_sum")([levels[i], wider])
        levels[i] = _convolve(summed, channels, name=f"down_{i}")
    for i in (1, 2):
        narrower = _convolve(levels[i - 1], channels, strides=2, name=f"narrower_{i}")
        levels[i] = _convolve(
            keras.layers.Add(name=f"up_{i}_sum")([levels[i], narrower]), channels, kernel_size=1, name=f"up_{i}"
        )
    return levels


@dataclasses.dataclass
class _Head:
    """Two branches, of class and of box, whose kernels serve all grids; each grid has its own normalisation."""

    classes: int
    channels: int
    depth: int

    def __post_init__(self) -> None:
        self._kernels = {
            (branch, i): keras.layers.Conv2D(
                self.channels, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"{branch}_{i}"
            )
            for branch in ("class", "box")
            for i in range(self.depth)
        }
        prior = keras.initializers.Constant(-float(keras.ops.log((1 - PRIOR) / PRIOR)))
        self._logits = keras.layers.Conv2D(
            self.classes,
            3,
            padding="same",
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
            bias_initializer=prior,
            dtype="float32",
            name="logits",
        )
        self._sides = keras.layers.Conv2D(4, 3, padding="same", dtype="float32", name="sides")

    def __call__(self, x: Any, number: int) -> Any:
        logits, sides = (self._branch(x, branch, number) for branch in ("class", "box"))
        place = Places(STRIDES[number], name=f"places_{number}")
        return place([self._logits(logits), self._sides(sides)])

    def _branch(self, x: Any, branch: str, number: int) -> Any:
        for i in range(self.depth):
            x = self._kernels[branch, i](x)
            x = keras.layers.BatchNormalization(momentum=0.97, name=f"{branch}_{i}_{number}_normalization")(x)
            x = keras.layers.Activation("silu", name=f"{branch}_{i}_{number}_silu")(x)
        return x


@keras.saving.register_keras_serializable(package="fieldnets")
class Places(keras.layers.Layer):  # type: ignore[misc]
    """Turn a grid of logits and distances of sides into rows of logits, box, place and stride.

    A side is exp(output) strides from the place, as in FCOS (Tian et al. 2019, https://arxiv.org/abs/1904.01355),
    with a factor that each grid learns.

    Args:
        stride: Pixels from one place to the next.
    """

    def __init__(self, stride: int, **options: Any) -> None:
        super().__init__(**{"dtype": "float32", **options})
        self.stride = stride

    def build(self, shapes: Any) -> None:
        """Make the grid's factor."""
        del shapes
        self.factor = self.add_weight(shape=(), initializer="ones", name="factor")

    def call(self, tensors: Any) -> Any:
        """Map (batch, h, w, classes) and (batch, h, w, 4) to (batch, h * w, classes + 7)."""
        logits, sides = tensors
        shape = keras.ops.shape(logits)
        batch, height, width = shape[0], shape[1], shape[2]
        across, down = ((keras.ops.arange(size, dtype="float32") + 0.5) * self.stride for size in (width, height))
        x = keras.ops.broadcast_to(across[None, :], (height, width))
        y = keras.ops.broadcast_to(down[:, None], (height, width))
        centres = keras.ops.broadcast_to(keras.ops.stack([x, y], axis=-1)[None], (batch, height, width, 2))
        limit = LARGEST_EXPONENT
        reach = keras.ops.exp(keras.ops.clip(sides * self.factor, -limit, limit)) * self.stride
        corners = keras.ops.concatenate([centres - reach[..., :2], centres + reach[..., 2:]], axis=-1)
        stride = keras.ops.zeros_like(centres[..., :1]) + float(self.stride)
        grid = keras.ops.concatenate([logits, corners, centres, stride], axis=-1)
        return keras.ops.reshape(grid, (batch, -1, logits.shape[-1] + GEOMETRY_COLUMNS))

    def compute_output_shape(self, shapes: Any) -> Any:
        """Say the shape that ``call`` returns."""
        batch, height, width, classes = shapes[0]
        places = height * width if height and width else None
        return batch, places, classes + GEOMETRY_COLUMNS

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "stride": self.stride}


def _convolve(x: Any, filters: int, *, kernel_size: int = 3, strides: int = 1, name: str) -> Any:
    x = keras.layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(x)
    x = keras.layers.BatchNormalization(momentum=0.97, name=f"{name}_normalization")(x)
    return keras.layers.Activation("silu", name=f"{name}_silu")(x)
