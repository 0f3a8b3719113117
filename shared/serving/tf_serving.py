"""TF Serving's REST routes: status, metadata, predict, classify; in rows or in columns."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import fastapi
import numpy as np
import numpy.typing as npt

from shared.serving import bodies, contents, openapi, refusals, requests, settings, tensors, versions

Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]
_CLASSIFY = "classify"
_TYPES = {"float32": "FLOAT", "float64": "DOUBLE", "bool": "BOOL"}


def routes(service: requests.Service) -> fastapi.APIRouter:
    """Return ``/v1/models/NAME[/versions/V|/labels/L][:predict|:classify]``, status and metadata."""
    router = fastapi.APIRouter(tags=["TF Serving"])
    for suffix in ("", "/versions/{version:plain}", "/labels/{label:plain}"):
        _add(router, service, "/v1/models/{name:plain}" + suffix)
    return router


def _add(router: fastapi.APIRouter, service: requests.Service, path: str) -> None:
    async def predict(request: fastapi.Request) -> fastapi.Response:
        """Answer rows (`instances`) or columns (`inputs`) of a signature."""
        version = service.version(request)
        content = await contents.content(request, lambda: example(version))
        question = await requests.aside(read, content, version, service.options)
        return await answer(service, version, question, service.came(request))

    async def classify(request: fastapi.Request) -> fastapi.Response:
        """Answer examples with the classes and their scores."""
        version = service.version(request)
        content = await contents.content(request, lambda: example(version, "examples"))
        examples = await requests.aside(read_examples, content, version, service.options)
        outputs = await service.ask(version, {"inputs": examples}, signature=_CLASSIFY, came=service.came(request))
        return await service.respond(outputs, lambda: requests.respond({"results": classified(outputs)}))

    async def status(request: fastapi.Request) -> fastapi.Response:
        """Say which versions are there, and in what state."""
        return requests.respond({"model_version_status": service.states(request)})

    async def metadata(request: fastapi.Request) -> fastapi.Response:
        """Say what the signatures take and give."""
        return requests.respond(about(service.version(request)))

    predicts = openapi.route(bodies.PredictAnswer, body=bodies.PredictRequest)
    classifies = openapi.route(bodies.ClassifyAnswer, body=bodies.ClassifyRequest)
    router.add_api_route(f"{path}:predict", predict, methods=["POST"], **predicts)
    router.add_api_route(f"{path}:classify", classify, methods=["POST"], **classifies)
    router.add_api_route(f"{path}/metadata", metadata, methods=["GET"], **openapi.route(bodies.ModelMetadata))
    router.add_api_route(path, status, methods=["GET"], **openapi.route(bodies.ModelStatus))


def example(version: versions.Version, field: str = "instances") -> str:
    """Return a body that a version reads, with the first of its inputs."""
    specs = version.specs(versions.DEFAULT)[0]
    name, spec = next(iter(specs.items()))
    body = json.dumps({field: [{name: tensors.example(name, spec)}]})
    return body if len(specs) == 1 else f"{body[:-3]}, ...}}]}}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """A predict request that was read.

    Attributes:
        signature: Which signature.
        arrays: One array (rows, ...) per input.
        columnar: Whether it came, and is answered, in columns.
    """

    signature: str
    arrays: Arrays
    columnar: bool


def read(content: bytes, version: versions.Version, limits: settings.Settings) -> Question:
    """Read a predict request.

    Raises:
        refusals.Refusal: It is no valid request for the signature.
    """
    body = bodies.read(bodies.PredictRequest, contents.read_json(content, lambda: example(version), limits))
    return question(body, version, limits)


def question(body: bodies.PredictRequest, version: versions.Version, limits: settings.Settings) -> Question:
    """Turn a predict request into arrays.

    Raises:
        refusals.Refusal: It is no valid request for the signature.
    """
    signature = versions.DEFAULT if body.signature_name is None else body.signature_name
    specs, _ = version.specs(signature)
    names = list(specs)
    if body.instances is None:
        columns = _columns(versions.renamed(body.inputs, version.input_names), names)
    else:
        tensors.check_rows("instances", len(body.instances), limits)
        columns = transposed(versions.renamed(body.instances, version.input_names), names)
    arrays = {name: tensors.array(name, values, specs[name], limits) for name, values in columns.items()}
    tensors.check_equal_rows(arrays)
    return Question(signature=signature, arrays=arrays, columnar=body.instances is None)


async def answer(
    service: requests.Service, version: versions.Version, question: Question, came: float
) -> fastapi.Response:
    """Answer a predict request: ``predictions`` in rows, ``outputs`` in columns.

    Raises:
        refusals.Refusal: It cannot be answered now.
    """
    outputs = await service.ask(version, question.arrays, signature=question.signature, came=came)
    write = in_columns if question.columnar else in_rows
    return await service.respond(outputs, lambda: requests.respond(write(outputs)))


def read_examples(content: bytes, version: versions.Version, limits: settings.Settings) -> npt.NDArray[Any]:
    """Read a classify request: (rows,) serialised ``tf.train.Example``.

    Raises:
        refusals.Refusal: It is no valid request, or the model classifies nothing.
    """
    if _CLASSIFY not in version.signatures:
        raise refusals.Refusal(f"{version.name}: expected a model with the signature {_CLASSIFY}. Received: none")
    body = bodies.read(
        bodies.ClassifyRequest, contents.read_json(content, lambda: example(version, "examples"), limits)
    )
    specs, _ = version.specs(versions.DEFAULT)
    tensors.check_rows("examples", len(body.examples), limits)
    context = body.context or {}
    if unknown := sorted(set(context) - set(specs)):
        raise refusals.Refusal(f'"context": expected some of {list(specs)}. Received: {unknown!s:.200}')
    rows = [_with_context(row, context) for row in body.examples]
    columns = {
        name: [_feature(name, value, specs[name]) for value in values]
        for name, values in transposed(rows, list(specs)).items()
    }
    return _as_examples({name: tensors.array(name, values, specs[name], limits) for name, values in columns.items()})


def _with_context(row: Any, context: Mapping[str, Any]) -> Any:
    """Return an example with the features that all share; a bare value is the only input's."""
    if not isinstance(row, dict) or "b64" in row:
        if context:
            raise refusals.Refusal('"examples": expected objects beside a "context". Received: another value')
        return row
    if both := sorted(set(row) & set(context)):
        raise refusals.Refusal(f'expected each feature in "context" or in an example. Received: {both!s:.100} in both')
    return {**context, **row}


def _feature(name: str, value: Any, spec: Any) -> Any:
    """Return a feature in the shape of a row: an example holds a value, or a list of all of the row's values."""
    if not isinstance(value, list):
        return value
    shape = tuple(spec.shape[1:])
    flat = tensors.flat(name, value, shape)
    if len(flat) != math.prod(shape):
        raise refusals.Refusal(f"{name}: expected {math.prod(shape)} values in an example. Received: {len(flat)}")
    row = np.empty(len(flat), object)
    row[:] = flat
    return row.reshape(shape).tolist()


def classified(outputs: Arrays) -> list[list[list[Any]]]:
    """Return for each example ``[[class, score], ...]``."""
    pairs = zip(outputs["classes"].tolist(), outputs["scores"].tolist(), strict=True)
    return [[[name, score] for name, score in zip(*pair, strict=True)] for pair in pairs]


def about(version: versions.Version) -> dict[str, Any]:
    """Return a version's signatures in short, and in TF Serving's own form."""
    inputs, outputs = version.specs(versions.DEFAULT)
    definitions = {
        name: {
            "inputs": {key: _tensor_info(spec) for key, spec in taken.items()},
            "outputs": {key: _tensor_info(spec) for key, spec in given.items()},
            "method_name": "tensorflow/serving/classify" if name == _CLASSIFY else "tensorflow/serving/predict",
        }
        for name, (taken, given) in version.signatures.items()
    }
    return {
        "model_spec": {"name": version.name, "version": str(version.number), "signature_name": versions.DEFAULT},
        "metadata": {"signature_def": {"signature_def": definitions}},
        "inputs": tensors.described(inputs),
        "outputs": tensors.described(outputs),
        "class_names": version.class_names,
    }


def transposed(rows: Sequence[Any], names: list[str]) -> dict[str, list[Any]]:
    """Return rows as one list per input name.

    Raises:
        refusals.Refusal: They have other inputs.
    """
    if len(names) == 1:
        return {names[0]: [_only(row, names[0]) for row in rows]}
    found = [_columns(row, names) for row in rows]
    return {name: [row[name] for row in found] for name in names}


def in_rows(outputs: Arrays) -> dict[str, list[Any]]:
    """Return outputs as one object per row; without its name where there is one output only, as TF Serving does."""
    rows = zip(*(values.tolist() for values in outputs.values()), strict=True)
    if len(outputs) == 1:
        return {"predictions": [row[0] for row in rows]}
    return {"predictions": [dict(zip(outputs, row, strict=True)) for row in rows]}


def in_columns(outputs: Arrays) -> dict[str, Any]:
    """Return outputs as one list each; without its name where there is one output only, as TF Serving does."""
    given = {name: values.tolist() for name, values in outputs.items()}
    return {"outputs": given if len(given) > 1 else next(iter(given.values()))}


def _only(row: Any, name: str) -> Any:
    """Return the only input of a row, with or without its name."""
    if not isinstance(row, dict) or "b64" in row:
        return row
    return _columns(row, [name])[name]


def _columns(inputs: Any, names: list[str]) -> dict[str, Any]:
    """Return ``inputs`` as one value per input name; a bare value is the only input's."""
    columns = inputs if isinstance(inputs, dict) and "b64" not in inputs else {names[0]: inputs}
    if set(columns) != set(names):
        missing, unknown = sorted(set(names) - set(columns)), sorted(set(columns) - set(names))
        raise refusals.Refusal(
            f"expected the inputs {names}. Received: without {missing[:5]}, with {[key[:50] for key in unknown[:5]]}"
        )
    return columns


def _as_examples(arrays: Arrays) -> npt.NDArray[Any]:
    """Return rows as serialised ``tf.train.Example``, which a classify signature takes."""
    import tensorflow as tf

    def feature(value: Any) -> Any:
        flat = np.asarray(value).ravel().tolist()
        if isinstance(value, bytes) or np.asarray(value).dtype == object:
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value] if isinstance(value, bytes) else flat))
        if np.asarray(value).dtype.kind in "iu":
            return tf.train.Feature(int64_list=tf.train.Int64List(value=flat))
        return tf.train.Feature(float_list=tf.train.FloatList(value=flat))

    rows = len(next(iter(arrays.values())))
    found = np.empty(rows, object)
    for row in range(rows):
        features = {name: feature(values[row]) for name, values in arrays.items()}
        found[row] = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
    return found


def _tensor_info(spec: Any) -> dict[str, Any]:
    dimensions = [{"size": str(-1 if size is None else size), "name": ""} for size in spec.shape]
    return {
        "dtype": f"DT_{_TYPES.get(spec.dtype.name, spec.dtype.name.upper())}",
        "tensor_shape": {"dim": dimensions, "unknown_rank": False},
        "name": spec.name or "",
    }
