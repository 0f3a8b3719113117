"""The JSON of requests and answers as types: they check what comes, and ``/openapi.json`` is generated from them.

An optional field may be null, which is as if it were not there. What a tensor or a row holds is checked in ``tensors``.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import pydantic

from shared.serving import refusals

Parameters = dict[str, Any]
# JSON has one kind of number: 2.0 is whole.
_whole = pydantic.BeforeValidator(
    lambda value: int(value) if isinstance(value, float) and value.is_integer() else value
)
_Side = Annotated[int, _whole, pydantic.Field(ge=1, lt=1 << 31)]
# TensorFlow's and NumPy's arrays have fewer sides; no signature has so many inputs or outputs.
_MOST_SIDES, _MOST_TENSORS = 32, 1_000
# Faults are not collected: of a million there would be a million messages, of which one is told.
_Shape = Annotated[list[_Side], pydantic.Field(max_length=_MOST_SIDES, fail_fast=True)]
_NOT_NULL: dict[str, Any] = {"not": {"type": "null"}}
_ROWS_OR_COLUMNS: dict[str, Any] = {
    "oneOf": [
        {"required": [one], "properties": {one: _NOT_NULL, other: {"type": "null"}}}
        for one, other in (("instances", "inputs"), ("inputs", "instances"))
    ]
}


class Body(pydantic.BaseModel):
    """A body: types are not converted, so that "1" is no number; fields of other servers are passed over."""

    model_config = pydantic.ConfigDict(strict=True, extra="ignore")


class PredictRequest(Body):
    """Rows (`instances`) or columns (`inputs`) for a signature, exactly one of them."""

    model_config = pydantic.ConfigDict(json_schema_extra=_ROWS_OR_COLUMNS)

    signature_name: str | None = None
    instances: Annotated[list[Any], pydantic.Field(min_length=1)] | None = None
    inputs: Any = None

    @pydantic.model_validator(mode="after")
    def _one_of_two(self) -> "PredictRequest":
        if (self.instances is None) == (self.inputs is None):
            raise refusals.Refusal('expected exactly one of "instances" and "inputs". Received: both or none')
        return self


class VertexRequest(Body):
    """Rows, as Vertex AI sends them; a parameter may be `signature_name`."""

    instances: Annotated[list[Any], pydantic.Field(min_length=1)]
    parameters: Parameters | None = None


class ClassifyRequest(Body):
    """Examples, and features that all of them share; a feature stands in one of the two."""

    signature_name: Literal["classify"] | None = None
    context: dict[str, Any] | None = None
    examples: Annotated[list[Any], pydantic.Field(min_length=1)]


class InferTensor(Body):
    """An input; without `data` where it is binary, and its bytes stand behind the JSON."""

    name: str
    shape: _Shape
    datatype: str
    parameters: Parameters | None = None
    data: list[Any] | None = None


class InferOutput(Body):
    """An output that is asked for."""

    name: str
    parameters: Parameters | None = None


class InferRequest(Body):
    """Tensors of the Open Inference Protocol."""

    id: str | None = None
    parameters: Parameters | None = None
    inputs: Annotated[list[InferTensor], pydantic.Field(min_length=1, max_length=_MOST_TENSORS, fail_fast=True)]
    outputs: Annotated[list[InferOutput], pydantic.Field(max_length=_MOST_TENSORS, fail_fast=True)] | None = None


class Error(Body):
    """Why a request is not answered."""

    error: str


class RowsAnswer(Body):
    """One prediction for each row."""

    predictions: list[Any]


class ColumnsAnswer(Body):
    """One list for each output, or the only output's."""

    outputs: Any


class PredictAnswer(pydantic.RootModel[RowsAnswer | ColumnsAnswer]):
    """Rows for rows, columns for columns."""


class ClassifyAnswer(Body):
    """For each example its classes, each with its score."""

    results: list[list[tuple[str, float]]]


class StatusOfVersion(Body):
    """Why a version is in its state."""

    error_code: str
    error_message: str


class VersionState(Body):
    """A version, by its number in digits, and its state."""

    version: str
    state: Literal["AVAILABLE", "END"]
    status: StatusOfVersion


class ModelStatus(Body):
    """The versions of a model, the newest first."""

    model_version_status: list[VersionState]


class DescribedTensor(Body):
    """A tensor's type, and its shape with -1 for what is free."""

    dtype: str
    shape: list[int]


class ModelMetadata(Body):
    """What a model's signatures take and give."""

    model_spec: dict[str, str]
    metadata: dict[str, Any]
    inputs: dict[str, DescribedTensor]
    outputs: dict[str, DescribedTensor]
    class_names: list[str]


class ResponseTensor(Body):
    """An output; without `data` where it is binary."""

    name: str
    shape: list[int]
    datatype: str
    parameters: Parameters | None = None
    data: list[Any] | None = None


class InferAnswer(Body):
    """The outputs that were asked for."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[ResponseTensor]


class TensorMetadata(Body):
    """A tensor's name and type, and its shape with -1 for what is free."""

    name: str
    datatype: str
    shape: list[int]


class InferMetadata(Body):
    """What a model takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ServerMetadata(Body):
    """The server and its extensions of the protocol."""

    name: str
    version: str
    extensions: list[str]


class Live(Body):
    """Whether the process answers."""

    live: bool


class Ready(Body):
    """Whether all models, or one, answer."""

    ready: bool
    name: str | None = None


class Health(Body):
    """Whether the server answers requests."""

    status: Literal["ready", "stopping"]


_Body = TypeVar("_Body", bound=Body)


def read(kind: type[_Body], body: Mapping[str, Any]) -> _Body:
    """Return a body that is of a type.

    Raises:
        refusals.Refusal: It is not; the message names the field.
    """
    try:
        return kind.model_validate(body)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        if first["type"] == "missing":
            expected = "a value. Received: none"
        else:
            wanted = first["msg"].replace("Input should be ", "").replace("should have", "with")
            expected = f"{wanted[:1].lower()}{wanted[1:]}. Received: {refusals.shown(first['input'])}"
        place = ".".join(map(str, first["loc"]))
        raise refusals.Refusal(f'"{place:.100}": expected {expected}') from None
