"""The requests of `benchmarks.serving`: one row each, and what a server must answer to the first.

JPEG files of 64 pixels for the images; for texts and tables the golden inputs of the bundle, which are rows of the
validation part.
"""

import base64
import io
import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

ROWS, SIDE = 16, 64
_IMAGES = "image_bytes"

Arrays = Mapping[str, npt.NDArray[Any]]


def inputs(loaded: Any) -> dict[str, npt.NDArray[Any]]:
    """Return ``ROWS`` rows of a loaded bundle's input, one array each."""
    from shared.bundle import reading as bundle

    if _IMAGES in loaded.inputs():
        generator = np.random.default_rng(0)
        return {_IMAGES: np.array([jpeg(generator) for _ in range(ROWS)], object)}
    golden = {name: bundle.decode(values) for name, values in loaded.extra("golden.json")["inputs"].items()}
    # The first golden rows are odd ones.
    return {name: values[-1 - np.arange(ROWS) % (len(values) // 2)] for name, values in golden.items()}


def jpeg(generator: np.random.Generator) -> bytes:
    """Return a smooth grey picture: noise would make decoding slower than real images do."""
    coarse = Image.fromarray(generator.integers(0, 256, (SIDE // 8, SIDE // 8), np.uint8))
    buffer = io.BytesIO()
    coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def write(rows: Arrays, folder: pathlib.Path) -> None:
    """Write the body of one request for each row: ``0.json`` and so on."""
    for number in range(ROWS):
        row = {name: _json(values[number]) for name, values in rows.items()}
        (folder / f"{number}.json").write_text(json.dumps({"instances": [row]}))


def is_answer(answer: Any, expected: Arrays) -> bool:
    """Return whether a server's answer to the first row is what the bundle itself says of it."""
    (row,) = answer["predictions"] if isinstance(answer, dict) else answer
    return set(row) == set(expected) and all(_is_same(row[name], values[0]) for name, values in expected.items())


def _is_same(received: Any, expected: Any) -> bool:
    if isinstance(expected, str) or np.asarray(expected).dtype == object:
        return bool(received == (expected if isinstance(expected, str) else expected.tolist()))
    return bool(np.allclose(np.array(received, float), np.asarray(expected, float), atol=1e-4, equal_nan=True))


def _json(value: Any) -> Any:
    """Return a value as TF Serving's JSON has it: bytes in base64, a missing number as null."""
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, np.ndarray):
        return [_json(each) for each in value]
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and math.isnan(plain) else plain
