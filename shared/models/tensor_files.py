"""Tensors out of safetensors and ONNX files, without the packages that write them: both are plain tables of bytes.

safetensors: a header in JSON after its length, then the values (https://github.com/huggingface/safetensors, "Format").
ONNX: protocol buffers; of ``ModelProto`` (``onnx/onnx.proto``) only ``graph.initializer`` is read.
"""

import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from shared import errors

_SAFETENSORS = {"F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I8": "i1", "U8": "u1"}
# TensorProto.DataType -> the dtype of raw_data.
_ONNX = {1: "<f4", 2: "u1", 3: "i1", 6: "<i4", 7: "<i8", 9: "?", 10: "<f2"}
# Numbers of fields.
_GRAPH, _INITIALIZER = 7, 5
_DIMS, _DATA_TYPE, _NAME, _RAW = 1, 2, 8, 9
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def read_safetensors(data: bytes, *, name: str) -> dict[str, np.ndarray]:
    """Return the arrays of a safetensors file by their names.

    Args:
        data: The file.
        name: What errors call it.

    Raises:
        errors.InputError: Another format, a type that weights have no need of, or a file cut off.
    """
    try:
        length = int.from_bytes(data[:8], "little")
        header, values = json.loads(data[8 : 8 + length]), memoryview(data)[8 + length :]
        header.pop("__metadata__", None)
        return {key: _array(values, entry) for key, entry in header.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise errors.InputError(f"{name}: expected a safetensors file. Received: {error}") from error


def read_onnx(data: bytes, *, name: str) -> dict[str, np.ndarray]:
    """Return the initializers of an ONNX file that hold their values as raw data, by their names.

    Args:
        data: The file.
        name: What errors call it.

    Raises:
        errors.InputError: Another format, or a file cut off.
    """
    try:
        (graph,) = _messages(memoryview(data), _GRAPH)
        found = dict(_initializer(message) for message in _messages(graph, _INITIALIZER))
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise errors.InputError(f"{name}: expected an ONNX file with raw initializers. Received: {error}") from error
    return found


def _array(values: memoryview, entry: dict[str, Any]) -> np.ndarray:
    """Return one array, whose place and size must agree."""
    (start, end), shape = entry["data_offsets"], entry["shape"]
    dtype = np.dtype(_SAFETENSORS[entry["dtype"]])
    if not 0 <= start <= end <= len(values) or end - start != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{shape} {dtype} from byte {start} to {end} of {len(values)}")
    return np.frombuffer(values[start:end], dtype).reshape(shape)


def _initializer(message: memoryview) -> tuple[str, np.ndarray]:
    fields = list(_fields(message))
    dims = [value for number, value in fields if number == _DIMS]
    single = dict(fields)
    values = np.frombuffer(bytes(single[_RAW]), np.dtype(_ONNX[single[_DATA_TYPE]]))
    return bytes(single[_NAME]).decode(), values.reshape(dims)


def _messages(message: memoryview, wanted: int) -> list[memoryview]:
    return [value for number, value in _fields(message) if number == wanted]


def _fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """Yield the numbers and values of a protocol buffer's fields; packed numbers are not taken apart."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, place = _varint(message, place)
            yield number, value
            continue
        size = {_FIXED64: 8, _FIXED32: 4}.get(kind)
        if kind == _BYTES:
            size, place = _varint(message, place)
        if size is None or place + size > len(message):
            raise ValueError(f"field {number} of kind {kind} at byte {place} of {len(message)}")
        yield number, message[place : place + size]
        place += size


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, and the place after it."""
    value = 0
    for shift in range(0, 64, 7):
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError(f"a number of more than 64 bits at byte {place}")
