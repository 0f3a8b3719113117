"""The Open Inference Protocol, version 2: health, metadata, and infer with typed tensors.

Tensors are JSON; BYTES are texts, or base64 where the tensor's parameters say ``{"content_type": "base64"}``, or raw
after the JSON as the protocol's binary extension sends them (each value after its length, 4 bytes little-endian).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import fastapi
import numpy as np
import numpy.typing as npt

from shared.serving import openapi, refusals, requests, settings, tensors, versions

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
_HEADER = "inference-header-content-length"
_BINARY = "binary_data_size"
_LENGTH = 4


def routes(asked: requests.Answering, version_of_server: str) -> fastapi.APIRouter:
    """Return the routes below ``/v2``."""
    router = fastapi.APIRouter(prefix="/v2", tags=["Open Inference Protocol"])
    described: dict[str, Any] = {"responses": openapi.RESPONSES}

    @router.get("", **described)
    async def server() -> fastapi.Response:
        """Name the server and its extensions."""
        extensions = ["binary_tensor_data"]
        return requests.respond({"name": "fieldnets", "version": version_of_server, "extensions": extensions})

    @router.get("/health/live", **described)
    async def live() -> fastapi.Response:
        """Say that the process answers."""
        return requests.respond({"live": True})

    @router.get("/health/ready", **described)
    async def ready() -> fastapi.Response:
        """Say whether all models answer."""
        is_ready = asked.models.open
        return requests.respond({"ready": is_ready}, 200 if is_ready else 503)

    for path in ("/models/{name}", "/models/{name}/versions/{version}"):
        _add(router, asked, path)
    return router


def _add(router: fastapi.APIRouter, asked: requests.Answering, path: str) -> None:
    async def infer(request: fastapi.Request) -> fastapi.Response:
        """Answer tensors."""
        version = asked.version(request)
        header = request.headers.get(_HEADER)
        question = await requests.aside(read, await request.body(), header, version, asked.options)
        return requests.respond(await answer(asked, version, question, asked.came(request)))

    async def metadata(request: fastapi.Request) -> fastapi.Response:
        """Say what the model takes and gives."""
        version = asked.version(request)
        return requests.respond(about(version, sorted(asked.models.model(version.name).served)))

    async def ready(request: fastapi.Request) -> fastapi.Response:
        """Say that the model answers."""
        return requests.respond({"name": asked.version(request).name, "ready": True})

    described: dict[str, Any] = {"responses": openapi.RESPONSES}
    extra = openapi.body("InferRequest")
    router.add_api_route(f"{path}/infer", infer, methods=["POST"], openapi_extra=extra, **described)
    router.add_api_route(f"{path}/ready", ready, methods=["GET"], **described)
    router.add_api_route(path, metadata, methods=["GET"], **described)


def about(version: versions.Version, served: list[int]) -> dict[str, Any]:
    """Return a model's metadata."""
    inputs, outputs = version.specs(versions.DEFAULT)
    return {
        "name": version.name,
        "versions": [str(number) for number in served],
        "platform": "tensorflow_savedmodel",
        "inputs": [_tensor_metadata(name, spec) for name, spec in inputs.items()],
        "outputs": [_tensor_metadata(name, spec) for name, spec in outputs.items()],
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """An infer request that was read.

    Attributes:
        signature: Which signature.
        arrays: One array (rows, ...) per input.
        wanted: The outputs that are asked for.
        identity: The request's own id.
    """

    signature: str
    arrays: Mapping[str, npt.NDArray[Any]]
    wanted: list[str]
    identity: str | None


def read(content: bytes, header: str | None, version: versions.Version, limits: settings.Settings) -> Question:
    """Read an infer request; ``parameters.signature_name`` chooses another signature.

    Args:
        content: The body.
        header: How much of it is JSON; None: all of it.
        version: Who is asked.
        limits: Limits of rows, pixels and characters.

    Raises:
        refusals.Refusal: It is no valid request for the signature.
    """
    body, raw = _split(content, header)
    signature = _object(body.get("parameters", {}), "parameters").get("signature_name", versions.DEFAULT)
    specs, outputs = version.specs(signature)
    wanted = _wanted(body, list(outputs))
    identity = body.get("id")
    return Question(
        signature=signature,
        arrays=_read(body, raw, specs, limits),
        wanted=wanted,
        identity=identity if isinstance(identity, str) else None,
    )


async def answer(
    asked: requests.Answering, version: versions.Version, question: Question, came: float
) -> dict[str, Any]:
    """Answer an infer request.

    Raises:
        refusals.Refusal: It cannot be answered now.
    """
    found = await asked.ask(version, question.arrays, signature=question.signature, came=came)
    _, specs = version.specs(question.signature)
    content: dict[str, Any] = {"model_name": version.name, "model_version": str(version.number)}
    if question.identity is not None:
        content["id"] = question.identity
    return {**content, "outputs": [_tensor(name, found[name], specs[name]) for name in question.wanted]}


def _split(content: bytes, header: str | None) -> tuple[dict[str, Any], bytes]:
    """Cut a body into its JSON and the raw tensors behind it."""
    if header is None:
        return tensors.read_json(content), b""
    if not header.isdecimal() or len(header) > 12 or int(header) > len(content):
        raise refusals.Refusal(f"{_HEADER}: expected at most {len(content)} bytes. Received: {header!r:.50}")
    return tensors.read_json(content[: int(header)]), content[int(header) :]


def _read(
    body: Mapping[str, Any], raw: bytes, specs: Mapping[str, Any], limits: settings.Settings
) -> dict[str, npt.NDArray[Any]]:
    given = body.get("inputs")
    if not isinstance(given, list) or not all(isinstance(tensor, dict) for tensor in given):
        raise refusals.Refusal('"inputs": expected a list of tensors. Received: another value')
    names = [tensor.get("name") for tensor in given]
    if not all(isinstance(name, str) for name in names) or sorted(names) != sorted(specs):
        raise refusals.Refusal(f"expected the inputs {sorted(specs)}, each once. Received: {names!s:.200}")
    found, rest = {}, raw
    for tensor in given:
        name = tensor["name"]
        parameters = _object(tensor.get("parameters", {}), f"{name}: parameters")
        if _BINARY in parameters:
            size = parameters[_BINARY]
            if type(size) is not int or not 0 <= size <= len(rest):
                raise refusals.Refusal(f"{name}: {_BINARY}: expected at most {len(rest)}. Received: {size!r:.50}")
            found[name], rest = _from_raw(name, tensor, rest[:size], specs[name], limits), rest[size:]
        else:
            found[name] = _from_json(name, tensor, parameters, specs[name], limits)
    if len({len(values) for values in found.values()}) > 1:
        raise refusals.Refusal("expected as many rows in each input. Received: different numbers")
    return found


def _shape(name: str, tensor: Mapping[str, Any], spec: Any, limits: settings.Settings) -> tuple[int, ...]:
    """Return a tensor's shape, checked against the signature; its datatype is checked, too."""
    datatype, shape = tensor.get("datatype"), tensor.get("shape")
    if datatype != _TYPES.get(spec.dtype.name):
        raise refusals.Refusal(f"{name}: expected datatype {_TYPES.get(spec.dtype.name)}. Received: {datatype!r:.50}")
    if not isinstance(shape, list) or not all(type(side) is int and 0 < side < 1 << 31 for side in shape):
        raise refusals.Refusal(f"{name}: expected shape {tensors.shape_of(spec)}. Received: {shape!r:.100}")
    tensors.fits(name, shape, spec)
    tensors.check_rows(name, shape[0], limits)
    return tuple(shape)


def _from_json(
    name: str, tensor: Mapping[str, Any], parameters: Mapping[str, Any], spec: Any, limits: settings.Settings
) -> npt.NDArray[Any]:
    shape, data = _shape(name, tensor, spec, limits), tensor.get("data")
    flat = _flat(name, data)
    _fits_shape(name, len(flat), shape)
    if spec.dtype.name != "string":
        try:
            values = np.array(flat, np.float64 if spec.dtype.name != "int64" else None)
            values = values.reshape(shape)
        except (TypeError, ValueError, OverflowError) as error:
            raise refusals.Refusal(f"{name}: expected numbers. Received: {error}") from None
        if values.dtype.kind not in "iufb":
            raise refusals.Refusal(f"{name}: expected numbers. Received: others")
        return tensors.cast(name, values, spec)
    if not all(isinstance(value, str) for value in flat):
        raise refusals.Refusal(f"{name}: expected strings. Received: others")
    encoded = parameters.get("content_type") == "base64"
    read = tensors.from_base64 if encoded else tensors.text_bytes
    return _strings(name, [read(name, value) for value in flat], shape, limits)


def _from_raw(
    name: str, tensor: Mapping[str, Any], raw: bytes, spec: Any, limits: settings.Settings
) -> npt.NDArray[Any]:
    shape = _shape(name, tensor, spec, limits)
    if spec.dtype.name != "string":
        wanted = np.dtype(spec.dtype.as_numpy_dtype).newbyteorder("<")
        if len(raw) % wanted.itemsize:
            raise refusals.Refusal(f"{name}: expected whole numbers of {wanted.itemsize} bytes. Received: a part")
        values = np.frombuffer(raw, wanted)
        _fits_shape(name, len(values), shape)
        return values.astype(spec.dtype.as_numpy_dtype).reshape(shape)
    found, start = [], 0
    while start < len(raw):
        stop = start + _LENGTH + int.from_bytes(raw[start : start + _LENGTH], "little")
        if stop > len(raw) or start + _LENGTH > len(raw):
            raise refusals.Refusal(f"{name}: expected each value after its length. Received: {len(raw)} bytes")
        found.append(raw[start + _LENGTH : stop])
        start = stop
    _fits_shape(name, len(found), shape)
    return _strings(name, found, shape, limits)


def _strings(name: str, values: list[bytes], shape: tuple[int, ...], limits: settings.Settings) -> npt.NDArray[Any]:
    found = np.empty(len(values), object)
    found[:] = values
    tensors.check_strings(name, found, limits)
    return found.reshape(shape)


def _fits_shape(name: str, count: int, shape: tuple[int, ...]) -> None:
    wanted = 1
    for side in shape:
        wanted *= side
    if count != wanted:
        raise refusals.Refusal(f"{name}: expected {wanted} values for shape {list(shape)}. Received: {count}")


def _flat(name: str, data: Any) -> list[Any]:
    """Return nested lists as one list."""
    if not isinstance(data, list):
        raise refusals.Refusal(f"{name}: expected data, a list. Received: {type(data).__name__}")
    while any(isinstance(value, list) for value in data):
        data = [inner for value in data for inner in (value if isinstance(value, list) else [value])]
    return list(data)


def _wanted(body: Mapping[str, Any], outputs: list[str]) -> list[str]:
    """Return the outputs that are asked for: all where none is named."""
    given = body.get("outputs", [])
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise refusals.Refusal('"outputs": expected a list of objects. Received: another value')
    names = [one.get("name") for one in given]
    if not all(isinstance(name, str) and name in outputs for name in names):
        raise refusals.Refusal(f'"outputs": expected some of {outputs}. Received: {names!s:.200}')
    return [str(name) for name in names] or outputs


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise refusals.Refusal(f"{what}: expected an object. Received: {type(value).__name__}")
    return value


def _tensor(name: str, values: npt.NDArray[Any], spec: Any) -> dict[str, Any]:
    return {
        "name": name,
        "shape": list(values.shape),
        "datatype": _TYPES[spec.dtype.name],
        "data": values.ravel().tolist(),
    }


def _tensor_metadata(name: str, spec: Any) -> dict[str, Any]:
    return {"name": name, "datatype": _TYPES[spec.dtype.name], "shape": tensors.shape_of(spec)}
