"""``/openapi.json``, made of the types in ``bodies`` that check requests, and of the signatures of the models."""

import inspect
import math
from collections.abc import Mapping
from typing import Any

import fastapi
import pydantic
from fastapi.openapi import utils
from pydantic import json_schema

from shared.serving import bodies, refusals, registry, tensors, versions

_REFERENCE = "#/components/schemas/"
_TYPES = [
    kind
    for _, kind in inspect.getmembers(bodies, inspect.isclass)
    if issubclass(kind, pydantic.BaseModel) and kind.__module__ == bodies.__name__ and kind is not bodies.Body
]
# What only a request that reaches a model is refused with.
_OF_MODELS = (422, 429, 504)
_SCHEME = "bearer"
_BASE64 = {
    "type": "object",
    "required": ["b64"],
    "properties": {"b64": {"type": "string", "format": "byte", "contentEncoding": "base64"}},
    "additionalProperties": False,
}


def route(
    answer: type[pydantic.BaseModel], *, body: type[bodies.Body] | None = None, binary: str = ""
) -> dict[str, Any]:
    """Return what describes a route to FastAPI: its answers, and its body where it has one.

    Args:
        answer: What status 200 answers with.
        body: What it reads.
        binary: The header that says how much of a body is JSON, where binary tensors may follow it, both ways.
    """
    ok: dict[str, Any] = {"application/json": {"schema": {"$ref": _REFERENCE + answer.__name__}}}
    refused = {status: _refusal(kind) for status, kind in refusals.STATUSES.items() if body or status not in _OF_MODELS}
    if body is None:
        return {"responses": {200: {"description": _first_line(answer), "content": ok}, **refused}}
    takes: dict[str, Any] = {"application/json": {"schema": {"$ref": _REFERENCE + body.__name__}}}
    extra: dict[str, Any] = {"requestBody": {"required": True, "content": takes}}
    if binary:
        tensors_behind = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
        ok, takes = ok | tensors_behind, takes | tensors_behind
        extra["requestBody"]["content"] = takes
        extra["parameters"] = [_header(binary)]
    responses = {200: {"description": _first_line(answer), "content": ok}, **refused}
    return {"responses": responses, "openapi_extra": extra}


def text() -> dict[str, Any]:
    """Return what describes a route that answers with text."""
    found = route(bodies.Health)
    found["responses"][200] = {"description": "text", "content": {"text/plain": {"schema": {"type": "string"}}}}
    return found


def install(app: fastapi.FastAPI, models: registry.Registry, *, with_token: bool, is_open: Any) -> None:
    """Let ``/openapi.json`` name the schemas, and the models as they are when it is asked.

    Args:
        app: The application.
        models: The models.
        with_token: Whether a token is asked for.
        is_open: Function of a path that says whether it needs none.
    """

    def describe() -> dict[str, Any]:
        found = utils.get_openapi(title=app.title, version=app.version, routes=app.routes, description=app.description)
        found["components"] = {"schemas": _schemas(models), "securitySchemes": {_SCHEME: _BEARER}}
        names = sorted(models.models)
        if not any("classify" in version.signatures for version in _newest(models)):
            found["paths"] = {path: about for path, about in found["paths"].items() if not path.endswith(":classify")}
        for path, operations in found["paths"].items():
            for operation in operations.values():
                own = operation.get("parameters", [])
                headers = [each for each in own if each["in"] == "header"]
                operation["parameters"] = [*(_parameter(name, names) for name in _placeholders(path)), *headers]
                if with_token and not is_open(path):
                    operation["security"] = [{_SCHEME: []}]
        return found

    app.openapi = describe  # type: ignore[method-assign]


_BEARER = {"type": "http", "scheme": "bearer", "description": "asked for where the server has --token-file"}


def _schemas(models: registry.Registry) -> dict[str, Any]:
    """Return the schemas of all bodies; a predict request also says what the signatures of the models take."""
    pairs: Any = [(kind, "validation") for kind in _TYPES]
    _, defined = json_schema.models_json_schema(pairs, ref_template=_REFERENCE + "{model}")
    schemas: dict[str, Any] = defined["$defs"]
    newest = _newest(models)
    if newest:
        schemas["PredictRequest"]["anyOf"] = [each for version in newest for each in _requests(version)]
    classifying = [version.signatures[versions.DEFAULT][0] for version in newest if "classify" in version.signatures]
    if classifying:
        schemas["ClassifyRequest"]["anyOf"] = [each for specs in classifying for each in _examples(specs)]
    return schemas


def _newest(models: registry.Registry) -> list[versions.Version]:
    return [model.served[max(model.served)] for model in models.models.values() if model.served]


def _requests(version: versions.Version) -> list[dict[str, Any]]:
    """Return the schemas of what a version's signatures take, in rows and in columns."""
    of_inputs: dict[str, list[str]] = {}
    for name, (specs, _) in version.signatures.items():
        if name != "classify":
            of_inputs.setdefault(str(tensors.described(specs)), []).append(name)
    found = []
    for names in of_inputs.values():
        specs = version.signatures[names[0]][0]
        signature: dict[str, Any] = {"enum": [*names, *([None] if versions.DEFAULT in names else [])]}
        required = [] if versions.DEFAULT in names else ["signature_name"]
        for field, schema in (("instances", _rows(_row(specs))), ("inputs", _columns(specs))):
            properties = {"signature_name": signature, field: schema}
            found.append({"properties": properties, "required": [*required, field]})
    return found


def _examples(specs: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the schemas of examples that hold all features, and of those that share some of them."""
    features = {}
    for name, spec in specs.items():
        value = _value(name, spec, [])
        size = math.prod(size or 1 for size in spec.shape[1:])
        row = {"type": "array", "items": value, "minItems": size, "maxItems": size}
        features[name] = {"anyOf": [value, row]} if size == 1 else row
    whole = _object(features)
    bare = [next(iter(features.values()))] if len(features) == 1 else []
    part = {"type": "object", "properties": features, "additionalProperties": False}
    shared = (_object(features), {**part, "maxProperties": 0}) if len(features) == 1 else (part, part)
    return [
        {"properties": {"context": {"type": "null"}, "examples": _rows({"anyOf": [*bare, whole]})}},
        {"required": ["context"], "properties": {"context": shared[0], "examples": _rows(shared[1])}},
    ]


def _rows(row: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": row}


def _row(specs: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: _value(name, spec, list(spec.shape[1:])) for name, spec in specs.items()}
    row = _object(values)
    return {"anyOf": [next(iter(values.values())), row]} if len(values) == 1 else row


def _columns(specs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of columns; that all are of one length, JSON Schema cannot say."""
    columns = {name: _value(name, spec, list(spec.shape)) for name, spec in specs.items()}
    named = _object(columns)
    return {"anyOf": [next(iter(columns.values())), named]} if len(columns) == 1 else named


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties, "additionalProperties": False}


def _value(name: str, spec: Any, shape: list[int | None]) -> dict[str, Any]:
    """Return the schema of a value, in lists for each size of its shape."""
    if shape:
        sizes = {"minItems": shape[0] or 1} | ({"maxItems": shape[0]} if shape[0] else {})
        return {"type": "array", "items": _value(name, spec, shape[1:]), **sizes}
    if spec.dtype.name == "string":
        return _BASE64 if tensors.is_file(name) else {"anyOf": [{"type": "string"}, _BASE64]}
    if spec.dtype.name == "bool":
        return {"type": "boolean"}
    if spec.dtype.is_integer:
        return {"type": "integer", "minimum": int(spec.dtype.min), "maximum": int(spec.dtype.max)}
    return {"type": ["number", "null"], "minimum": float(spec.dtype.min), "maximum": float(spec.dtype.max)}


def _refusal(kind: type[refusals.Refusal]) -> dict[str, Any]:
    headers = {"Retry-After": {"schema": {"type": "string", "pattern": "^[0-9]+$"}, "description": "seconds"}}
    return {
        "description": _first_line(kind),
        "content": {"application/json": {"schema": {"$ref": f"{_REFERENCE}Error"}}},
        **({"headers": headers} if kind.retry_seconds is not None else {}),
    }


def _first_line(kind: type[Any]) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]


def _header(name: str) -> dict[str, Any]:
    schema = {"type": "string", "pattern": "^[0-9]{1,12}$"}
    return {"name": name, "in": "header", "required": False, "schema": schema, "description": "bytes that are JSON"}


def _placeholders(path: str) -> list[str]:
    return [part.split("}")[0] for part in path.split("{")[1:]]


def _parameter(name: str, models: list[str]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    if name == "name":
        schema["enum"] = models
    if name == "version":
        schema["pattern"] = "^[0-9]{1,18}$"
    return {"name": name, "in": "path", "required": True, "schema": schema}
