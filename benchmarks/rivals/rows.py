"""What the rivals share: TF Serving's rows in, columns for a SavedModel, rows out."""

import base64
from typing import Any

import numpy as np
import tensorflow as tf


def values(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of JSON with its files as bytes."""
    return {name: base64.b64decode(value["b64"]) if isinstance(value, dict) else value for name, value in row.items()}


def answer(run: Any, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Run a signature on rows; return each output as a list. A missing number is null."""
    specs = run.structured_input_signature[1]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    tensors = {name: _tensor(column, specs[name].dtype) for name, column in columns.items()}
    return {name: _plain(tensor.numpy()) for name, tensor in run(**tensors).items()}


def joined(outputs: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one object for each row."""
    return [dict(zip(outputs, row, strict=True)) for row in zip(*outputs.values(), strict=True)]


def _tensor(column: list[Any], dtype: tf.DType) -> Any:
    return tf.constant(column if dtype == tf.string else np.array(column, dtype.as_numpy_dtype), dtype)


def _plain(found: Any) -> Any:
    if found.dtype != object:
        return found.tolist()
    return np.array([value.decode() for value in found.ravel()], object).reshape(found.shape).tolist()
