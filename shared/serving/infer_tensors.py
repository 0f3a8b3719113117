"""Tensors of the Open Inference Protocol: in JSON, or as binary data behind it.

BYTES in JSON are texts, or base64 where the tensor's parameters, or else the request's, say ``"content_type":
"base64"``. As binary data each value follows its length (4 bytes, little-endian); numbers are little-endian.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.serving import bodies, refusals, settings, tensors

BINARY = "binary_data_size"
_LENGTH = 4
_BASE64 = "base64"
# Names that MLServer's clients give to plain texts and arrays.
_PLAIN = (None, "str", "np", "pd")
_TYPES = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    "string": "BYTES",
}


def datatype(spec: Any) -> str:
    """Return the protocol's name of a spec's type."""
    return _TYPES[spec.dtype.name]


def metadata(name: str, spec: Any) -> dict[str, Any]:
    """Return what the metadata says of an input or output."""
    return {"name": name, "datatype": datatype(spec), "shape": tensors.shape_of(spec)}


def arrays(
    given: Sequence[bodies.InferTensor],
    raw: bytes,
    specs: Mapping[str, Any],
    content_type: Any,
    limits: settings.Settings,
) -> dict[str, npt.NDArray[Any]]:
    """Return the inputs of a signature.

    Args:
        given: What the JSON says of each.
        raw: The binary tensors, in the order of ``given``.
        specs: What the signature takes.
        content_type: What the request's parameters say of BYTES, where the tensor's do not.
        limits: Limits of rows, pixels and characters.

    Returns:
        One array (rows, ...) per input.

    Raises:
        refusals.Refusal: They are not the signature's, or not all of ``raw`` is a tensor's.
    """
    names = [tensor.name for tensor in given]
    if sorted(names) != sorted(specs):
        raise refusals.Refusal(f"expected the inputs {sorted(specs)}, each once. Received: {names!s:.200}")
    found = {}
    for tensor in given:
        spec = specs[tensor.name]
        size = (tensor.parameters or {}).get(BINARY)
        shape, encoded = _shape(tensor, spec, limits), _is_base64(tensor, spec, content_type)
        if size is None:
            found[tensor.name] = _from_json(tensor, shape, spec, encoded, limits)
            continue
        if type(size) is not int or not 0 <= size <= len(raw) or tensor.data is not None:
            raise refusals.Refusal(
                f"{tensor.name}: {BINARY}: expected at most {len(raw)}, and no data. Received: {refusals.shown(size)}"
            )
        found[tensor.name] = _from_raw(tensor.name, raw[:size], shape, spec, encoded, limits)
        raw = raw[size:]
    if raw:
        raise refusals.Refusal(f"expected the binary tensors that the JSON names. Received: {len(raw)} bytes more")
    tensors.check_equal_rows(found)
    return found


def only_value(content: bytes, specs: Mapping[str, Any], limits: settings.Settings) -> dict[str, npt.NDArray[Any]]:
    """Return the only input's only row: a body without JSON is its value, as Triton's raw binary requests are.

    Raises:
        refusals.Refusal: There are several inputs, or their rows have a free size, or the body is no row.
    """
    if len(specs) != 1 or any(size is None for spec in specs.values() for size in spec.shape[1:]):
        raise refusals.Refusal(f"expected JSON before the tensors of {sorted(specs)!s:.200}. Received: none")
    ((name, spec),) = specs.items()
    shape = (1, *spec.shape[1:])
    if spec.dtype.name == "string" and math.prod(shape) == 1:
        content = len(content).to_bytes(_LENGTH, "little") + content
    return {name: _from_raw(name, content, shape, spec, False, limits)}


def raw(values: npt.NDArray[Any], spec: Any) -> bytes:
    """Return an output as binary data."""
    if spec.dtype.name != "string":
        return values.astype(np.dtype(spec.dtype.as_numpy_dtype).newbyteorder("<")).tobytes()
    texts = [value if isinstance(value, bytes) else str(value).encode() for value in values.ravel().tolist()]
    return b"".join(len(text).to_bytes(_LENGTH, "little") + text for text in texts)


def _shape(tensor: bodies.InferTensor, spec: Any, limits: settings.Settings) -> tuple[int, ...]:
    """Return a tensor's shape, checked against the signature; its datatype is checked, too."""
    if tensor.datatype != datatype(spec):
        raise refusals.Refusal(f"{tensor.name}: expected datatype {datatype(spec)}. Received: {tensor.datatype!r:.50}")
    tensors.fits(tensor.name, tensor.shape, spec)
    tensors.check_rows(tensor.name, tensor.shape[0], limits)
    return tuple(tensor.shape)


def _is_base64(tensor: bodies.InferTensor, spec: Any, of_request: Any) -> bool:
    """Return whether a tensor's texts stand for bytes."""
    own = (tensor.parameters or {}).get("content_type")
    chosen = of_request if own is None else own
    is_text = spec.dtype.name == "string"
    if chosen == _BASE64 and (is_text or own is None):
        return bool(is_text)
    if chosen not in _PLAIN:
        raise refusals.Refusal(
            f"{tensor.name}: content_type: expected base64, of BYTES. Received: {refusals.shown(chosen)}"
        )
    return False


def _from_json(
    tensor: bodies.InferTensor, shape: tuple[int, ...], spec: Any, encoded: bool, limits: settings.Settings
) -> npt.NDArray[Any]:
    name = tensor.name
    if tensor.data is None:
        raise refusals.Refusal(f"{name}: expected data, a list, or {BINARY} in its parameters. Received: none")
    values = tensors.flat(name, tensor.data, shape)
    _fits_shape(name, len(values), shape)
    if spec.dtype.name != "string":
        return tensors.numbers(name, values, spec).reshape(shape)
    if not all(isinstance(value, str) for value in values):
        raise refusals.Refusal(f"{name}: expected strings. Received: others")
    if tensors.is_file(name) and not encoded:
        raise refusals.Refusal(
            f'{name}: expected base64 with "parameters": {{"content_type": "base64"}}, or binary data. Received: texts'
        )
    read = tensors.from_base64 if encoded else tensors.text_bytes
    return tensors.strings(name, [read(name, value) for value in values], limits).reshape(shape)


def _from_raw(
    name: str, content: bytes, shape: tuple[int, ...], spec: Any, encoded: bool, limits: settings.Settings
) -> npt.NDArray[Any]:
    if spec.dtype.name != "string":
        wanted = np.dtype(spec.dtype.as_numpy_dtype).newbyteorder("<")
        if len(content) % wanted.itemsize:
            raise refusals.Refusal(f"{name}: expected whole numbers of {wanted.itemsize} bytes. Received: a part")
        _fits_shape(name, len(content) // wanted.itemsize, shape)
        values = np.frombuffer(content, wanted).astype(spec.dtype.as_numpy_dtype)
        if np.isinf(values).any():
            raise refusals.Refusal(f"{name}: expected numbers. Received: infinity")
        return values.reshape(shape)
    found: list[bytes] = []
    start = 0
    while start < len(content) and len(found) <= math.prod(shape):
        stop = start + _LENGTH + int.from_bytes(content[start : start + _LENGTH], "little")
        if stop > len(content) or start + _LENGTH > len(content):
            raise refusals.Refusal(f"{name}: expected each value after its length. Received: {len(content)} bytes")
        value = content[start + _LENGTH : stop]
        found.append(tensors.from_base64(name, value.decode("latin-1")) if encoded else value)
        start = stop
    _fits_shape(name, len(found), shape)
    return tensors.strings(name, found, limits).reshape(shape)


def _fits_shape(name: str, count: int, shape: tuple[int, ...]) -> None:
    wanted = math.prod(shape)
    if count != wanted:
        raise refusals.Refusal(f"{name}: expected {wanted} values for shape {list(shape)}. Received: {count}")
