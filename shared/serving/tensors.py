"""JSON to arrays and back, as a signature wants them, within a server's limits."""

import base64
import binascii
import io
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import orjson
import PIL.Image

from shared.serving import refusals, settings

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]
# What Pillow raises on files that are no image: those are for the model to answer.
_UNREADABLE = (OSError, SyntaxError, ValueError)


def read_json(content: bytes) -> dict[str, Any]:
    """Read a request's body as a JSON object, whatever its media type: ``curl -d`` names a form.

    Raises:
        refusals.Refusal: It is none; JSON has no NaN, a missing number is null.
    """
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise refusals.Refusal(f"expected a JSON object (null for a missing number). Received: {error}") from None
    if not isinstance(body, dict):
        raise refusals.Refusal(f"expected a JSON object. Received: {type(body).__name__}")
    return body


def array(name: str, values: Any, spec: Any, limits: settings.Settings) -> npt.NDArray[Any]:
    """Return an input's rows as the signature wants them.

    Args:
        name: The input.
        values: A list of rows: strings or ``{"b64": ...}``, or numbers, null for a missing one.
        spec: The input's ``tf.TensorSpec``.
        limits: Limits of rows, pixels and characters.

    Raises:
        refusals.Refusal: The rows are of another kind or shape.
        refusals.LimitError: There are too many, or one is too large.
    """
    if not isinstance(values, list) or not values:
        raise refusals.Refusal(f"{name}: expected a list of at least one row. Received: {type(values).__name__}")
    check_rows(name, len(values), limits)
    if spec.dtype.as_numpy_dtype is not object:
        return numbers(name, values, spec)
    found = np.empty(_shape(values, 1 if spec.shape.rank is None else spec.shape.rank), object)
    if found.ndim != spec.shape.rank:
        raise refusals.Refusal(f"{name}: expected {shape_of(spec)} strings. Received: shape {list(found.shape)}")
    _fill(name, found, values)
    fits(name, found.shape, spec)
    check_strings(name, found, limits)
    return found


def numbers(name: str, values: Sequence[Any], spec: Any) -> npt.NDArray[Any]:
    """Return numbers of the signature's type and shape; null is a missing number.

    Raises:
        refusals.Refusal: They are none, of another shape, or outside the type's range.
    """
    try:
        found = np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise refusals.Refusal(f"{name}: expected numbers of shape {shape_of(spec)}. Received: {error}") from None
    fits(name, found.shape, spec)
    return cast(name, found, spec)


def cast(name: str, values: npt.NDArray[Any], spec: Any) -> npt.NDArray[Any]:
    """Return numbers in the signature's type; whole numbers must be whole and in range.

    Raises:
        refusals.Refusal: They are not.
    """
    wanted = np.dtype(spec.dtype.as_numpy_dtype)
    if values.dtype == wanted:
        return values
    if wanted.kind in "iu":
        limits = np.iinfo(wanted)
        # The type's last number has no float64 of its own, and is lost for the largest integers.
        if not bool(np.all((values >= limits.min) & (values <= limits.max) & (np.floor(values) == values))):
            raise refusals.Refusal(f"{name}: expected whole numbers of {wanted.name}. Received: others")
    with np.errstate(over="ignore"):
        found: npt.NDArray[Any] = values.astype(wanted)
    if wanted.kind == "f" and bool(np.any(np.isinf(found))):
        raise refusals.Refusal(f"{name}: expected numbers in the range of {wanted.name}. Received: larger ones")
    return found


def check_rows(name: str, rows: int, limits: settings.Settings) -> None:
    """Raise ``refusals.LimitError`` where there are too many rows."""
    if rows > limits.max_rows:
        raise refusals.LimitError(f"{name}: expected 1 to {limits.max_rows} rows. Received: {rows}")


def check_strings(name: str, values: npt.NDArray[Any], limits: settings.Settings) -> None:
    """Refuse texts that are too long, and images that have too many pixels, before anything decodes them.

    Raises:
        refusals.LimitError: One of them is.
    """
    if name.endswith("_bytes"):
        for value in values.ravel():
            pixels = pixels_of(value)
            if pixels > limits.max_pixels:
                raise refusals.LimitError(
                    f"{name}: expected images of at most {limits.max_pixels} pixels. Received: {pixels}"
                )
        return
    longest = max(map(len, values.ravel()), default=0)
    if longest > limits.max_characters:
        raise refusals.LimitError(
            f"{name}: expected texts of at most {limits.max_characters} bytes. Received: {longest}"
        )


def pixels_of(encoded: bytes) -> int:
    """Return how many pixels an image file says it has, from its first bytes; 0 for what is no image."""
    try:
        with PIL.Image.open(io.BytesIO(encoded)) as image:
            return image.width * image.height
    except PIL.Image.DecompressionBombError:
        return 2 * (PIL.Image.MAX_IMAGE_PIXELS or 0) + 1
    except _UNREADABLE:
        return 0


def text_bytes(name: str, value: Any) -> bytes:
    """Return what a string or ``{"b64": ...}`` stands for.

    Raises:
        refusals.Refusal: It is neither, or not valid.
    """
    if isinstance(value, str):
        try:
            return value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise refusals.Refusal(f"{name}: expected valid Unicode. Received: {error}") from None
    if isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str):
        return from_base64(name, value["b64"])
    raise refusals.Refusal(f'{name}: expected strings or {{"b64": "..."}}. Received: {type(value).__name__}')


def from_base64(name: str, text: str) -> bytes:
    """Return the bytes that a base64 text stands for.

    Raises:
        refusals.Refusal: It is none.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise refusals.Refusal(f"{name}: expected base64. Received: {error}") from None


def described(specs: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return each input's or output's type and shape, -1 for what is free."""
    return {name: {"dtype": spec.dtype.name, "shape": shape_of(spec)} for name, spec in specs.items()}


def shape_of(spec: Any) -> list[int]:
    """Return a spec's shape, -1 for what is free."""
    return [-1 if size is None else size for size in spec.shape]


def fits(name: str, shape: Sequence[int], spec: Any) -> None:
    """Raise ``refusals.Refusal`` where a shape is not the spec's."""
    if not spec.shape.is_compatible_with(tuple(shape)):
        raise refusals.Refusal(f"{name}: expected shape {shape_of(spec)}. Received: {list(shape)}")


def _shape(values: Any, rank: int) -> tuple[int, ...]:
    """Return the shape of nested lists, no deeper than ``rank``; the first of each level counts."""
    shape: list[int] = []
    while isinstance(values, list) and len(shape) < rank:
        shape.append(len(values))
        values = values[0] if values else None
    return tuple(shape)


def _fill(name: str, found: npt.NDArray[Any], values: list[Any]) -> None:
    """Put nested lists of strings into an array of their shape."""
    if len(values) != len(found):
        raise refusals.Refusal(f"{name}: expected lists of one length. Received: {len(values)} and {len(found)}")
    for index, value in enumerate(values):
        if found.ndim == 1:
            found[index] = text_bytes(name, value)
        elif isinstance(value, list):
            _fill(name, found[index], value)
        else:
            raise refusals.Refusal(f"{name}: expected lists of strings. Received: {type(value).__name__}")
