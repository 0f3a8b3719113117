"""The Open Inference Protocol, version 2: health, metadata, and infer with typed tensors; see ``infer_tensors``."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import fastapi
import numpy.typing as npt
import orjson

from shared.serving import bodies, contents, infer_tensors, openapi, refusals, requests, settings, tensors, versions

_HEADER = "inference-header-content-length"
# Of Triton's parameters those that ask for what is not announced here: they are refused, since the answer would differ.
_ABSENT = ("classification", "shared_memory_region")


def routes(service: requests.Service, version_of_server: str) -> fastapi.APIRouter:
    """Return the routes below ``/v2``."""
    router = fastapi.APIRouter(prefix="/v2", tags=["Open Inference Protocol"])

    @router.get("", **openapi.route(bodies.ServerMetadata))
    async def server() -> fastapi.Response:
        """Name the server and its extensions."""
        extensions = ["binary_tensor_data"]
        return requests.respond({"name": "fieldnets", "version": version_of_server, "extensions": extensions})

    @router.get("/health/live", **openapi.route(bodies.Live))
    async def live() -> fastapi.Response:
        """Say that the process answers."""
        return requests.respond({"live": True})

    @router.get("/health/ready", **openapi.route(bodies.Ready))
    async def ready() -> fastapi.Response:
        """Say whether all models answer."""
        is_ready = service.models.ready
        return requests.respond({"ready": is_ready}, 200 if is_ready else 503)

    for path in ("/models/{name:plain}", "/models/{name:plain}/versions/{version:plain}"):
        _add(router, service, path)
    return router


def _add(router: fastapi.APIRouter, service: requests.Service, path: str) -> None:
    async def infer(request: fastapi.Request) -> fastapi.Response:
        """Answer tensors."""
        version = service.version(request)
        header = request.headers.get(_HEADER)
        # Behind a head of JSON there may be a file, and without any JSON the body may be one.
        files = header is not None and not contents.is_json(request)
        content = await contents.content(request, lambda: example(version), raw=files)
        # What is called JSON is JSON, though the header says that there is none.
        size = None if not files and header is not None and not header.strip("0") else header
        question = await requests.aside(read, content, size, version, service.options)
        return await answer(service, version, question, service.came(request))

    async def metadata(request: fastapi.Request) -> fastapi.Response:
        """Say what the model takes and gives."""
        version = service.version(request)
        return requests.respond(about(version, sorted(service.models.model(version.name).served)))

    async def ready(request: fastapi.Request) -> fastapi.Response:
        """Say that the model answers."""
        return requests.respond({"name": service.version(request).name, "ready": True})

    infers = openapi.route(bodies.InferAnswer, body=bodies.InferRequest, binary=_HEADER)
    router.add_api_route(f"{path}/infer", infer, methods=["POST"], **infers)
    router.add_api_route(f"{path}/ready", ready, methods=["GET"], **openapi.route(bodies.Ready))
    router.add_api_route(path, metadata, methods=["GET"], **openapi.route(bodies.InferMetadata))


def about(version: versions.Version, served: list[int]) -> dict[str, Any]:
    """Return a model's metadata."""
    inputs, outputs = version.specs(versions.DEFAULT)
    return {
        "name": version.name,
        "versions": [str(number) for number in served],
        "platform": "tensorflow_savedmodel",
        "inputs": [infer_tensors.metadata(name, spec) for name, spec in inputs.items()],
        "outputs": [infer_tensors.metadata(name, spec) for name, spec in outputs.items()],
    }


def example(version: versions.Version) -> str:
    """Return a body that a version reads, with the first of its inputs."""
    specs = version.specs(versions.DEFAULT)[0]
    name, spec = next(iter(specs.items()))
    tensor = {"name": name, "shape": [1, *tensors.shape_of(spec)[1:]], "datatype": infer_tensors.datatype(spec)}
    more = {"parameters": {"content_type": "base64"}} if tensors.is_file(name) else {}
    body = json.dumps({"inputs": [{**tensor, **more, "data": ["..."]}]})
    return body if len(specs) == 1 else f"{body[:-2]}, ...]}}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """An infer request that was read.

    Attributes:
        signature: Which signature.
        arrays: One array (rows, ...) per input.
        wanted: The outputs that are asked for, and whether as binary data.
        identity: The request's own id.
    """

    signature: str
    arrays: Mapping[str, npt.NDArray[Any]]
    wanted: Mapping[str, bool]
    identity: str | None = None


def read(content: bytes, header: str | None, version: versions.Version, limits: settings.Settings) -> Question:
    """Read an infer request; ``parameters.signature_name`` chooses another signature.

    Args:
        content: The body.
        header: How many of its bytes are JSON; None: all of them; 0: none, the only input's only value is the body.
        version: Who is asked.
        limits: Limits of rows, pixels and characters.

    Raises:
        refusals.Refusal: It is no valid request for the signature.
    """
    size = _json_bytes(content, header)
    if size == 0 and content:
        specs, outputs = version.specs(versions.DEFAULT)
        arrays = infer_tensors.only_value(content, specs, limits)
        return Question(signature=versions.DEFAULT, arrays=arrays, wanted=dict.fromkeys(outputs, True))
    body = bodies.read(bodies.InferRequest, contents.read_json(content[:size], lambda: example(version), limits))
    parameters = body.parameters or {}
    signature = parameters.get("signature_name")
    signature = versions.DEFAULT if signature is None else signature
    specs, outputs = version.specs(signature)
    for each in (*body.inputs, *(body.outputs or ())):
        if unknown := [name for name in _ABSENT if (each.parameters or {}).get(name) is not None]:
            raise refusals.Refusal(f"{each.name}: expected parameters of this server. Received: {unknown[0]}")
    return Question(
        signature=signature,
        wanted=_wanted(body.outputs or [], list(outputs), parameters),
        arrays=infer_tensors.arrays(body.inputs, content[size:], specs, parameters.get("content_type"), limits),
        identity=body.id,
    )


async def answer(
    service: requests.Service, version: versions.Version, question: Question, came: float
) -> fastapi.Response:
    """Answer an infer request: in JSON, or in JSON with the binary outputs behind it.

    Raises:
        refusals.Refusal: It cannot be answered now.
    """
    found = await service.ask(version, question.arrays, signature=question.signature, came=came, wanted=question.wanted)
    wanted = {name: found[name] for name in question.wanted}
    return await service.respond(wanted, lambda: _written(version, question, wanted))


def _written(version: versions.Version, question: Question, found: Mapping[str, npt.NDArray[Any]]) -> fastapi.Response:
    _, specs = version.specs(question.signature)
    raws: list[bytes] = []
    outputs = []
    for name, binary in question.wanted.items():
        about = {"name": name, "shape": list(found[name].shape), "datatype": infer_tensors.datatype(specs[name])}
        if binary:
            raws.append(infer_tensors.raw(found[name], specs[name]))
            outputs.append({**about, "parameters": {infer_tensors.BINARY: len(raws[-1])}})
        else:
            outputs.append({**about, "data": found[name].ravel().tolist()})
    identity = {} if question.identity is None else {"id": question.identity}
    content = {"model_name": version.name, "model_version": str(version.number), **identity, "outputs": outputs}
    if not raws:
        return requests.respond(content)
    head = orjson.dumps(content, default=requests.plain)
    headers = {_HEADER: str(len(head))}
    return fastapi.Response(b"".join([head, *raws]), headers=headers, media_type="application/octet-stream")


def _json_bytes(content: bytes, header: str | None) -> int:
    """Return how many bytes of a body are JSON; binary tensors are behind them."""
    if header is None:
        return len(content)
    if not (header.isascii() and header.isdecimal()) or len(header) > 12 or int(header) > len(content):
        raise refusals.Refusal(f"{_HEADER}: expected at most {len(content)} bytes. Received: {header!r:.50}")
    return int(header)


def _wanted(given: list[bodies.InferOutput], outputs: list[str], parameters: Mapping[str, Any]) -> dict[str, bool]:
    """Return the outputs that are asked for, all where none is named, and whether as binary data."""
    every = _flag(parameters, "binary_data_output", default=False)
    names = [one.name for one in given]
    if len(set(names)) < len(names) or not set(names) <= set(outputs):
        raise refusals.Refusal(f'"outputs": expected some of {outputs}, each once. Received: {names!s:.200}')
    chosen = {one.name: _flag(one.parameters or {}, "binary_data", default=every) for one in given}
    return chosen or dict.fromkeys(outputs, every)


def _flag(parameters: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = parameters.get(name)
    if value is not None and not isinstance(value, bool):
        raise refusals.Refusal(f"{name}: expected true or false. Received: {refusals.shown(value)}")
    return default if value is None else value
