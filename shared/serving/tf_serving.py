"""TF Serving's REST routes: status, metadata, predict, classify; in rows or in columns."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeAlias

import fastapi
import numpy as np
import numpy.typing as npt

from shared.serving import openapi, refusals, requests, settings, tensors, versions

Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]
_CLASSIFY = "classify"


def routes(asked: requests.Answering) -> fastapi.APIRouter:
    """Return ``/v1/models/NAME[/versions/V|/labels/L][:predict|:classify]``, status and metadata."""
    router = fastapi.APIRouter(tags=["TF Serving"])
    for suffix in ("", "/versions/{version}", "/labels/{label}"):
        _add(router, asked, "/v1/models/{name}" + suffix)
    return router


def _add(router: fastapi.APIRouter, asked: requests.Answering, path: str) -> None:
    async def predict(request: fastapi.Request) -> fastapi.Response:
        """Answer rows (`instances`) or columns (`inputs`) of a signature."""
        version, content = asked.version(request), await request.body()
        question = await requests.aside(read, content, version, asked.options)
        return requests.respond(await answer(asked, version, question, asked.came(request)))

    async def classify(request: fastapi.Request) -> fastapi.Response:
        """Answer examples with the classes and their scores."""
        version, content = asked.version(request), await request.body()
        examples = await requests.aside(read_examples, content, version, asked.options)
        outputs = await asked.ask(version, {"inputs": examples}, signature=_CLASSIFY, came=asked.came(request))
        return requests.respond({"results": classified(outputs)})

    async def status(request: fastapi.Request) -> fastapi.Response:
        """Say which versions are there, and in what state."""
        if ":" in request.path_params["name"]:
            # A verb behind the name is asked with POST; without this it would be an unknown model.
            raise fastapi.HTTPException(405, "expected POST. Received: GET", {"Allow": "POST"})
        return requests.respond({"model_version_status": asked.states(request)})

    async def metadata(request: fastapi.Request) -> fastapi.Response:
        """Say what the signatures take and give."""
        return requests.respond(about(asked.version(request)))

    described: dict[str, Any] = {"responses": openapi.RESPONSES}
    router.add_api_route(
        f"{path}:predict", predict, methods=["POST"], openapi_extra=openapi.body("PredictRequest"), **described
    )
    router.add_api_route(
        f"{path}:classify", classify, methods=["POST"], openapi_extra=openapi.body("ClassifyRequest"), **described
    )
    router.add_api_route(f"{path}/metadata", metadata, methods=["GET"], **described)
    router.add_api_route(path, status, methods=["GET"], **described)


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
    return question(tensors.read_json(content), version, limits)


def question(body: Mapping[str, Any], version: versions.Version, limits: settings.Settings) -> Question:
    """Turn a predict request's JSON into arrays.

    Raises:
        refusals.Refusal: It is no valid request for the signature.
    """
    if ("instances" in body) == ("inputs" in body):
        raise refusals.Refusal('expected exactly one of "instances" and "inputs". Received: both or none')
    signature = body.get("signature_name", versions.DEFAULT)
    specs, _ = version.specs(signature)
    columnar = "inputs" in body
    if columnar:
        columns = _columns(body["inputs"], list(specs))
    else:
        columns = transposed(body["instances"], list(specs), "instances")
    arrays = {name: tensors.array(name, values, specs[name], limits) for name, values in columns.items()}
    if len({len(values) for values in arrays.values()}) > 1:
        raise refusals.Refusal("expected as many rows in each input. Received: different numbers")
    return Question(signature=signature, arrays=arrays, columnar=columnar)


async def answer(
    asked: requests.Answering, version: versions.Version, question: Question, came: float
) -> dict[str, Any]:
    """Answer a predict request: ``predictions`` in rows, ``outputs`` in columns.

    Raises:
        refusals.Refusal: It cannot be answered now.
    """
    outputs = await asked.ask(version, question.arrays, signature=question.signature, came=came)
    if question.columnar:
        given = {name: values.tolist() for name, values in outputs.items()}
        return {"outputs": given if len(given) > 1 else next(iter(given.values()))}
    return {"predictions": in_rows(outputs)}


def read_examples(content: bytes, version: versions.Version, limits: settings.Settings) -> npt.NDArray[Any]:
    """Read a classify request: (rows,) serialised ``tf.train.Example``.

    Raises:
        refusals.Refusal: It is no valid request, or the model classifies nothing.
    """
    body = tensors.read_json(content)
    if _CLASSIFY not in version.signatures:
        raise refusals.Refusal(f"{version.name}: expected a model with the signature {_CLASSIFY}. Received: none")
    context, examples = body.get("context", {}), body.get("examples")
    if not isinstance(context, dict) or not isinstance(examples, list):
        raise refusals.Refusal('expected "examples", a list of objects. Received: none')
    rows = [{**context, **example} if isinstance(example, dict) else example for example in examples]
    specs, _ = version.specs(versions.DEFAULT)
    columns = transposed(rows, list(specs), "examples")
    return _as_examples({name: tensors.array(name, values, specs[name], limits) for name, values in columns.items()})


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


def transposed(rows: Any, names: list[str], what: str) -> dict[str, list[Any]]:
    """Return rows as one list per input name.

    Raises:
        refusals.Refusal: They are no list, or have other inputs.
    """
    if not isinstance(rows, list) or not rows:
        raise refusals.Refusal(f'"{what}": expected a list of at least one row. Received: {_kind(rows)}')
    if len(names) == 1:
        return {names[0]: [_only(row, names[0]) for row in rows]}
    found = [_columns(row, names) for row in rows]
    return {name: [row[name] for row in found] for name in names}


def in_rows(outputs: Arrays) -> list[Any]:
    """Return outputs as one object per row; without its name where there is one output only, as TF Serving does."""
    rows = zip(*(values.tolist() for values in outputs.values()), strict=True)
    if len(outputs) == 1:
        return [row[0] for row in rows]
    return [dict(zip(outputs, row, strict=True)) for row in rows]


def _kind(value: Any) -> str:
    return "an empty list" if value == [] else type(value).__name__


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
        "dtype": f"DT_{openapi.TF_NAMES.get(spec.dtype.name, spec.dtype.name.upper())}",
        "tensor_shape": {"dim": dimensions, "unknown_rank": False},
        "name": spec.name or "",
    }
