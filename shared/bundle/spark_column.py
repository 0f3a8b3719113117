"""A bundle as a column of a Spark data frame: each Python worker of Spark loads it once, with its fastest engine.

Spark is not among our dependencies: whoever has a cluster has ``pyspark`` of its version.
"""

import functools
import inspect
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from shared import errors
from shared.bundle import engines

Predict = Callable[..., dict[str, npt.NDArray[Any]]]


def prediction(
    model_dir: pathlib.Path, *, columns: Mapping[str, str] | None = None, engine: str = engines.AUTO, rows: int = 1024
) -> Any:
    """Return what a bundle says of each row, as a ``pyspark.sql.Column``: a struct of its outputs.

    It is https://spark.apache.org/docs/latest/api/python/reference/api/pyspark.ml.functions.predict_batch_udf.html
    around `engines.load`.

    Args:
        model_dir: A bundle, or the folder above it, at a path that all machines of the cluster see.
        columns: Input of the bundle -> column of the frame; an input that is not named is a column of its own name.
        engine: Which of the bundle's engines; ``auto``: each worker takes the fastest on its machine.
        rows: Most in one call of the network.

    Raises:
        errors.InputError: There is no bundle, it has no such input or engine, or says of a row what no column holds.
        errors.GateError: The bundle is not what its manifest says.
    """
    from pyspark.ml import functions

    loaded = engines.load(model_dir, engine)
    names, given = list(loaded.inputs()), dict(columns or {})
    if unknown := sorted(set(given) - set(names)):
        raise errors.InputError(f"columns: expected inputs of the bundle, {names}. Received: {unknown}")
    predict = functions.predict_batch_udf(
        functools.partial(_opened, loaded.path.resolve(), engine),
        return_type=_returned(loaded.outputs()),
        batch_size=rows,
    )
    return predict(*(given.get(name, name) for name in names))


def _opened(model_dir: pathlib.Path, engine: str) -> Predict:
    """Return, in a worker, the bundle as a function of one array for each input, in the order of their names."""
    from shared.training import runtime

    runtime.quiet_logs()
    loaded = engines.load(model_dir, engine)
    names = list(loaded.inputs())

    def predict(*arrays: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        given = dict(zip(names, arrays, strict=True))
        for name, values in given.items():
            if values.dtype == object and any(value is None for value in values):
                raise errors.InputError(f"{name}: expected a value in every row. Received: null")
        return loaded.run(given)

    # Spark counts the parameters.
    predict.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(f"input_{place}", inspect.Parameter.POSITIONAL_ONLY) for place in range(len(names))]
    )
    return predict


def _returned(outputs: Mapping[str, Any]) -> Any:
    """Return the Spark type of a row's outputs: a number or a text each, or an array of them."""
    from pyspark.sql import types

    kinds = {
        np.dtype(object): types.StringType(),
        np.dtype(np.float32): types.FloatType(),
        np.dtype(np.float64): types.DoubleType(),
        np.dtype(np.int32): types.IntegerType(),
        np.dtype(np.int64): types.LongType(),
    }
    fields = []
    for name, spec in outputs.items():
        kind = kinds.get(np.dtype(spec.dtype.as_numpy_dtype))
        if kind is None or spec.shape.rank not in (1, 2):
            raise errors.InputError(
                f"{name}: expected numbers or texts, one or a list for each row. Received: {spec.dtype.name} of shape "
                f"{tuple(spec.shape)}; use `predict`"
            )
        fields.append(types.StructField(name, kind if spec.shape.rank == 1 else types.ArrayType(kind)))
    return types.StructType(fields)
