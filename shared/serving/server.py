"""A small HTTP server for one bundle: TF Serving's REST routes, a health route and a page to try it.

Only what the bundle's signature says is known here; there is no app in it.
"""

import base64
import binascii
import importlib.resources
import json
from typing import Annotated, Any

import fastapi
import fastapi.responses
import numpy as np
import numpy.typing as npt
import starlette.exceptions
import uvicorn

from shared import errors
from shared.serving import bundle

MAXIMUM_ROWS = 1024


def create(loaded: bundle.Bundle) -> fastapi.FastAPI:
    """Build the server's application for a loaded bundle.

    Routes: ``GET /v1/models/NAME`` (status), ``GET /v1/models/NAME/metadata`` (signature),
    ``POST /v1/models/NAME:predict`` (``{"instances": [...]}`` or ``{"inputs": ...}``), ``GET /health``, ``GET /``.
    """
    app = fastapi.FastAPI(title=loaded.name, version=str(loaded.version), openapi_url="/openapi.json")
    page = importlib.resources.files("shared.serving").joinpath("page.html").read_text("utf-8")
    root = f"/v1/models/{loaded.name}"

    @app.exception_handler(errors.InputError)
    def refuse(request: fastapi.Request, error: Exception) -> fastapi.responses.JSONResponse:
        del request
        return fastapi.responses.JSONResponse({"error": str(error)}, status_code=400)

    @app.exception_handler(starlette.exceptions.HTTPException)
    def miss(request: fastapi.Request, error: Exception) -> fastapi.responses.JSONResponse:
        code = error.status_code if isinstance(error, starlette.exceptions.HTTPException) else 500
        return fastapi.responses.JSONResponse({"error": f"{request.url.path}: {error}"}, status_code=code)

    @app.get("/", response_class=fastapi.responses.HTMLResponse)
    def show_page() -> str:
        return fill(page, loaded)

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ready"}

    @app.get(root)
    def status() -> dict[str, Any]:
        state = {"version": str(loaded.version), "state": "AVAILABLE"}
        return {"model_version_status": [{**state, "status": {"error_code": "OK", "error_message": ""}}]}

    @app.get(f"{root}/metadata")
    def metadata() -> dict[str, Any]:
        return describe(loaded)

    @app.post(f"{root}:predict")
    def predict(content: Annotated[bytes, fastapi.Depends(_content)]) -> dict[str, Any]:
        return answer(loaded, parse(content))

    return app


def fill(page: str, loaded: bundle.Bundle) -> str:
    """Return the page for a bundle: a field for a text, or a field for a row of columns that holds an example."""
    specs = loaded.inputs()
    name, spec = next(iter(specs.items()))
    example = None
    if len(specs) > 1 or spec.dtype.as_numpy_dtype is not object:
        golden = loaded.extra("golden.json")["inputs"]
        example = {column: values[0] for column, values in golden.items()}
    # Inside a script element "</" would end it.
    text = json.dumps(example).replace("</", "<\\/")
    return page.replace("{{ name }}", loaded.name).replace("{{ input }}", name).replace("{{ example }}", text)


def describe(loaded: bundle.Bundle) -> dict[str, Any]:
    """Return names, types and shapes of the serving signature, and the class names."""
    return {
        "model_spec": {"name": loaded.name, "version": str(loaded.version), "signature_name": "serving_default"},
        "inputs": {name: _spec(spec) for name, spec in loaded.inputs().items()},
        "outputs": {name: _spec(spec) for name, spec in loaded.outputs().items()},
        "class_names": loaded.extra("decision.json").get("class_names", []),
    }


def parse(content: bytes) -> dict[str, Any]:
    """Read a request's body as a JSON object, whatever its media type: ``curl -d`` names a form.

    Raises:
        errors.InputError: It is none.
    """
    try:
        body = json.loads(content)
    except ValueError as error:
        raise errors.InputError(f"expected a JSON object. Received: {error}") from None
    if not isinstance(body, dict):
        raise errors.InputError(f"expected a JSON object. Received: {type(body).__name__}")
    return body


def answer(loaded: bundle.Bundle, body: dict[str, Any]) -> dict[str, Any]:
    """Answer a TF Serving predict request.

    Raises:
        errors.InputError: The body is not a valid request for this bundle's signature.
    """
    if ("instances" in body) == ("inputs" in body):
        raise errors.InputError('expected exactly one of "instances" and "inputs"')
    signature = body.get("signature_name", "serving_default")
    if signature not in loaded.signatures:
        raise errors.InputError(f"expected a signature of {loaded.signatures}. Received: {signature!r}")
    names = list(loaded.inputs(signature))
    columnar = "inputs" in body
    columns = _columns(body["inputs"], names) if columnar else _transposed(body["instances"], names)
    specs = loaded.inputs(signature)
    arrays = {name: _array(name, values, specs[name]) for name, values in columns.items()}
    outputs = loaded.run(arrays, signature=signature)
    if columnar:
        return {"outputs": {name: values.tolist() for name, values in outputs.items()}}
    rows = zip(*(values.tolist() for values in outputs.values()), strict=True)
    return {"predictions": [dict(zip(outputs, row, strict=True)) for row in rows]}


def serve(loaded: bundle.Bundle, *, host: str, port: int) -> None:
    """Serve until interrupted; the bundle is warmed up first."""
    warm_up(loaded)
    uvicorn.run(create(loaded), host=host, port=port, log_level="info")


def warm_up(loaded: bundle.Bundle) -> None:
    """Answer a few golden inputs, so that the first request does not pay for tracing."""
    golden = loaded.extra("golden.json")
    loaded.run({name: bundle.decode(values[:8]) for name, values in golden["inputs"].items()})


async def _content(request: fastapi.Request) -> bytes:
    """Return the body; a route that is no coroutine, and runs beside others, cannot wait for it."""
    return await request.body()


def _columns(inputs: Any, names: list[str]) -> dict[str, Any]:
    """Return ``inputs`` as one list per input name; a bare list is the only input's."""
    columns = inputs if isinstance(inputs, dict) and "b64" not in inputs else {names[0]: inputs}
    if set(columns) != set(names):
        raise errors.InputError(f"expected the inputs {names}. Received: {sorted(columns)}")
    return columns


def _transposed(instances: Any, names: list[str]) -> dict[str, Any]:
    """Return row-wise instances as one list per input name."""
    if not isinstance(instances, list) or not instances:
        raise errors.InputError('"instances": expected a list with at least one row')
    rows = [_columns(row, names) for row in instances]
    return {name: [row[name] for row in rows] for name in names}


def _array(name: str, values: Any, spec: Any) -> npt.NDArray[Any]:
    if not isinstance(values, list) or not 1 <= len(values) <= MAXIMUM_ROWS:
        raise errors.InputError(f"{name}: expected a list of 1 to {MAXIMUM_ROWS} rows")
    if spec.dtype.as_numpy_dtype is object:
        return np.array([_bytes(name, value) for value in values], object)
    return _numbers(name, values, spec)


def _numbers(name: str, values: list[Any], spec: Any) -> npt.NDArray[Any]:
    """Return numbers of the signature's type and shape; null is a missing number."""
    try:
        found = np.array(values, object)
        found = np.array(np.where(found == None, np.nan, found).tolist(), np.float64)  # noqa: E711 (element by element)
        if not spec.shape.is_compatible_with(found.shape):
            raise ValueError(f"shape {list(found.shape)}")
    except (TypeError, ValueError) as error:
        shape = _spec(spec)["shape"]
        raise errors.InputError(f"{name}: expected numbers of shape {shape}. Received: {error}") from None
    return found.astype(spec.dtype.as_numpy_dtype)


def _bytes(name: str, value: Any) -> bytes:
    """Return what a string or ``{"b64": ...}`` stands for."""
    if isinstance(value, str):
        try:
            return value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise errors.InputError(f"{name}: expected valid Unicode. Received: {error}") from None
    if isinstance(value, dict) and isinstance(value.get("b64"), str):
        return _decode_base64(name, value["b64"])
    raise errors.InputError(f'{name}: expected strings or {{"b64": "..."}}. Received: {type(value).__name__}')


def _decode_base64(name: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise errors.InputError(f"{name}: expected base64. Received: {error}") from None


def _spec(spec: Any) -> dict[str, Any]:
    return {"dtype": spec.dtype.name, "shape": [-1 if size is None else size for size in spec.shape]}
