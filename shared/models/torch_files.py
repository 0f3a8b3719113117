"""Files that ``torch.save`` wrote before PyTorch 1.6, without PyTorch.

Five pickles (magic number, protocol, sizes of C types, the weights' names and shapes, the keys of the storages) and
then, for each key, the number of its values as int64 and the values, all little-endian (``_legacy_save`` in PyTorch's
``torch/serialization.py``). A pickle can call any function by its name: the reader knows only the four names that a
file of weights needs, and runs nothing of what the file says.
"""

import collections
import dataclasses
import io
import pickle
import struct
from typing import Any

import numpy as np

from shared import errors

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_DTYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


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
