"""JSON to arrays and back, as a signature wants them, within a server's limits."""

import base64
import binascii
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from shared.serving import refusals, settings

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
# Markers of JPEG: of a frame, which has the size; of a scan or the end, before which it must come; without a length.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCANS, _BARE_MARKERS = (0xD9, 0xDA), (0x00, 0x01, *range(0xD0, 0xD9))
_FILL = re.compile(rb"\xff*+")
# A file of more segments before its size hides it.
_MOST_SEGMENTS, _UNKNOWN_PIXELS = 1_000, 1 << 62
_WORDS = {str: "a text", bool: "true or false", dict: "an object", list: "lists of different depth"}


def example(name: str, spec: Any) -> Any:
    """Return what stands for a value of an input in an example."""
    if spec.dtype.name != "string":
        return 1
    return {"b64": "..."} if is_file(name) else "..."


def is_file(name: str) -> bool:
    """Return whether an input takes the bytes of a file, such as an image."""
    return name.endswith("_bytes")


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
    flat, shape = _unnested(name, values, spec)
    if spec.dtype.as_numpy_dtype is not object:
        return numbers(name, flat, spec).reshape(shape)
    return strings(name, [text_bytes(name, value) for value in flat], limits).reshape(shape)


def strings(name: str, values: list[bytes], limits: settings.Settings) -> npt.NDArray[Any]:
    """Return (values,) strings as an array of objects.

    Raises:
        refusals.LimitError: One is too long, or an image of too many pixels.
    """
    found = np.empty(len(values), object)
    found[:] = values
    check_strings(name, found, limits)
    return found


def numbers(name: str, values: Sequence[Any], spec: Any) -> npt.NDArray[Any]:
    """Return (values,) numbers of the signature's type; null is a missing number.

    Raises:
        refusals.Refusal: They are none, or outside the type's range.
    """
    read_as = _read_as(name, values, spec)
    try:
        found = np.array(values, read_as)
    except (TypeError, ValueError, OverflowError) as error:
        raise refusals.Refusal(f"{name}: expected numbers of shape {shape_of(spec)}. Received: {error}") from None
    return cast(name, found, spec)


def _read_as(name: str, values: Sequence[Any], spec: Any) -> Any:
    """Return the type that JSON numbers are read as; a text or true is no number, though NumPy would make it one."""
    kinds = set(map(type, values))
    if kinds == {list}:
        raise refusals.Refusal(f"{name}: expected shape {shape_of(spec)}. Received: lists within")
    wanted = np.dtype(spec.dtype.as_numpy_dtype)
    expected, allowed = ("true or false", {bool}) if wanted.kind == "b" else ("numbers", {int, float, type(None)})
    if not kinds <= allowed:
        others = ", ".join(sorted(_WORDS.get(kind, kind.__name__) for kind in kinds - allowed))
        raise refusals.Refusal(f"{name}: expected {expected} of shape {shape_of(spec)}. Received: {others}")
    # By way of a float, the last digits of large whole numbers would be lost.
    return wanted if wanted.kind == "b" or (wanted.kind in "iu" and kinds == {int}) else np.float64


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


def check_equal_rows(arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Raise ``refusals.Refusal`` where inputs have different numbers of rows."""
    if len({len(values) for values in arrays.values()}) > 1:
        raise refusals.Refusal("expected as many rows in each input. Received: different numbers")


def check_strings(name: str, values: npt.NDArray[Any], limits: settings.Settings) -> None:
    """Refuse texts that are too long, and images that have too many pixels, before anything decodes them.

    Raises:
        refusals.LimitError: One of them is.
    """
    if is_file(name):
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
    """Return how many pixels a JPEG or PNG file says it has, the formats that bundles decode; 0 for what is none.

    Read as libjpeg and libpng find it (ITU T.81, B.1; RFC 2083, 4.1.1): 3.5 us for a small file, Pillow takes 26.
    """
    if encoded[:8] == _PNG:
        return int.from_bytes(encoded[16:20], "big") * int.from_bytes(encoded[20:24], "big")
    at = 2 if encoded[:3] == _JPEG else len(encoded)
    for _ in range(_MOST_SEGMENTS):
        at = encoded.find(b"\xff", at)
        marker_at = len(encoded) if at < 0 else _FILL.match(encoded, at).end()  # type: ignore[union-attr]
        if marker_at >= len(encoded) or encoded[marker_at] in _SCANS:
            return 0
        at = marker_at + 1
        if encoded[marker_at] in _FRAMES:
            return int.from_bytes(encoded[at + 3 : at + 5], "big") * int.from_bytes(encoded[at + 5 : at + 7], "big")
        if encoded[marker_at] not in _BARE_MARKERS:
            at += int.from_bytes(encoded[at : at + 2], "big")
    return _UNKNOWN_PIXELS


def text_bytes(name: str, value: Any) -> bytes:
    """Return what a string or ``{"b64": ...}`` stands for.

    Raises:
        refusals.Refusal: It is neither, or not valid.
    """
    if isinstance(value, str):
        if is_file(name):
            raise refusals.Refusal(f'{name}: expected {{"b64": "..."}}, a file in base64. Received: a text')
        try:
            return value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise refusals.Refusal(f"{name}: expected valid Unicode. Received: {error}") from None
    if isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str):
        return from_base64(name, value["b64"])
    raise refusals.Refusal(f'{name}: expected strings or {{"b64": "..."}}. Received: {type(value).__name__}')


def from_base64(name: str, text: str) -> bytes:
    """Return the bytes that a base64 text stands for; white space in it is passed over.

    Raises:
        refusals.Refusal: It is none.
    """
    if text[:5].lower() == "data:":
        raise refusals.Refusal(f"{name}: expected base64 alone. Received: a data: URL; send what is behind its comma")
    try:
        # Python's encodebytes and the program base64 break lines.
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise refusals.Refusal(f"{name}: expected base64. Received: other characters, or a part of it") from None


def flat(name: str, values: list[Any], shape: Sequence[int]) -> list[Any]:
    """Return values that are flat, or in lists within lists, as one list.

    Args:
        name: The input.
        values: As many values as ``shape`` has, in at most one list more than it has sides.
        shape: What they are meant to be.

    Raises:
        refusals.Refusal: There are more, or deeper lists. That is found before they are copied, so that the work is
            never more than that of reading them.
    """
    count = math.prod(shape)
    for _ in range(len(shape) + 1):
        kinds = set(map(type, values))
        if list not in kinds:
            return values
        if kinds != {list} or sum(map(len, values)) > count:
            break
        values = list(itertools.chain.from_iterable(values))
    raise refusals.Refusal(f"{name}: expected {count} values for shape {list(shape)}. Received: other lists")


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


def _unnested(name: str, values: list[Any], spec: Any) -> tuple[list[Any], tuple[int, ...]]:
    """Return lists within lists as one list, and their shape, which the spec has; no deeper than the spec's."""
    shape = [len(values)]
    while len(shape) < (spec.shape.rank or 1):
        if set(map(type, values)) != {list} or len(sizes := set(map(len, values))) > 1:
            raise refusals.Refusal(
                f"{name}: expected shape {shape_of(spec)}. Received: lists of other lengths or depth"
            )
        shape.append(sizes.pop())
        values = list(itertools.chain.from_iterable(values))
    fits(name, shape, spec)
    return values, tuple(shape)
