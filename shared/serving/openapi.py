"""The OpenAPI description: bodies, answers and refusals of all routes, with the names of the models served."""

from typing import Any

import fastapi
from fastapi.openapi import utils

from shared.serving import refusals, registry

TF_NAMES = {"float32": "FLOAT", "float64": "DOUBLE", "bool": "BOOL"}
_REFERENCE = "#/components/schemas/"

_VALUE = {
    "description": 'a number, null, a text, {"b64": "..."} for bytes, or lists of them; or an object of one per input'
}
_SCHEMAS: dict[str, Any] = {
    "Error": {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}},
    "PredictRequest": {
        "type": "object",
        "description": "exactly one of instances (rows) and inputs (columns)",
        "properties": {
            "signature_name": {"type": "string", "default": "serving_default"},
            "instances": {"type": "array", "items": _VALUE, "minItems": 1},
            "inputs": _VALUE,
        },
    },
    "ClassifyRequest": {
        "type": "object",
        "required": ["examples"],
        "properties": {
            "context": {"type": "object"},
            "examples": {"type": "array", "items": {"type": "object"}, "minItems": 1},
        },
    },
    "InferRequest": {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "parameters": {"type": "object"},
            "inputs": {"type": "array", "minItems": 1, "items": {"$ref": f"{_REFERENCE}InferTensor"}},
            "outputs": {
                "type": "array",
                "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
            },
        },
    },
    "InferTensor": {
        "type": "object",
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
            "datatype": {"type": "string"},
            "parameters": {"type": "object"},
            "data": {"type": "array", "items": {}},
        },
    },
}


def _refusal(kind: type[refusals.Refusal]) -> dict[str, Any]:
    headers = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}}
    return {
        "description": (kind.__doc__ or "").strip().splitlines()[0],
        "content": {"application/json": {"schema": {"$ref": f"{_REFERENCE}Error"}}},
        **({"headers": headers} if kind.retry_seconds is not None else {}),
    }


RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "the answer", "content": {"application/json": {"schema": {"type": "object"}}}},
    401: {**_refusal(refusals.Refusal), "description": "a token is needed"},
    405: {**_refusal(refusals.Refusal), "description": "another method is expected"},
    **{status: _refusal(kind) for status, kind in refusals.STATUSES.items()},
}


def body(schema: str) -> dict[str, Any]:
    """Return what describes a route's body, by the name of its schema."""
    content = {"application/json": {"schema": {"$ref": _REFERENCE + schema}}}
    return {"requestBody": {"required": True, "content": content}}


def install(app: fastapi.FastAPI, models: registry.Registry) -> None:
    """Let ``/openapi.json`` name the schemas, and the models as they are when it is asked."""

    def describe() -> dict[str, Any]:
        found = utils.get_openapi(title=app.title, version=app.version, routes=app.routes, description=app.description)
        found.setdefault("components", {}).setdefault("schemas", {}).update(_SCHEMAS)
        names = sorted(models.models)
        for path, operations in found["paths"].items():
            for operation in operations.values():
                operation["responses"].pop("422", None) if "post" not in operations else None
                operation["parameters"] = [_parameter(name, names) for name in _placeholders(path)]
        return found

    app.openapi = describe  # type: ignore[method-assign]


def _placeholders(path: str) -> list[str]:
    return [part.split("}")[0] for part in path.split("{")[1:]]


def _parameter(name: str, models: list[str]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    if name == "name":
        schema["enum"] = models
    if name == "version":
        schema["pattern"] = "^[0-9]{1,18}$"
    return {"name": name, "in": "path", "required": True, "schema": schema}
