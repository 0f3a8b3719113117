"""Replay a bundle's golden inputs: ``python -m shared.bundle.replay BUNDLE``. Export runs it in a clean process."""

import json
import pathlib
import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from shared import errors
from shared.bundle import reading as bundle


def replay(loaded: bundle.Bundle) -> dict[str, float]:
    """Run the golden inputs and compare with the golden outputs.

    Returns:
        The largest difference of each numeric output, absolute or of the expected number where that is above 1, and
        ``rows``.

    Raises:
        errors.GateError: A number differs by more than the golden file's tolerance, or a text differs at all.
    """
    golden = loaded.extra("golden.json")
    inputs = {name: bundle.decode(values) for name, values in golden["inputs"].items()}
    outputs = loaded.run(inputs)
    worst = {"rows": float(len(next(iter(inputs.values()))))}
    for name, values in golden["outputs"].items():
        expected = bundle.decode(values)
        worst[name] = _difference(name, expected, outputs[name], tolerance=golden["tolerance"])
    return worst


def _difference(name: str, expected: npt.NDArray[Any], received: npt.NDArray[Any], *, tolerance: float) -> float:
    if expected.shape != received.shape:
        raise errors.GateError(f"{name}: expected shape {expected.shape}. Received: {received.shape}")
    if expected.dtype in (object, bool):
        differing = np.unique(np.nonzero(expected != received)[0])
        if len(differing):
            row = int(differing[0])
            raise errors.GateError(
                f"{name}: {len(differing)} rows differ, first in golden row {row}: "
                f"expected {expected[row]!r}. Received: {received[row]!r}"
            )
        return 0.0
    # Of numbers above 1, such as pixels, the share: they have no more digits than others.
    scale = np.maximum(np.abs(expected), 1.0)
    difference = float(np.max(np.abs(expected - received) / scale, initial=0.0))
    if not difference <= tolerance:
        raise errors.GateError(
            f"{name}: expected outputs within {tolerance}. Received: a difference of {difference:.3g}"
        )
    return difference


def main() -> int:
    """Print the differences as JSON; exit code 3 when the bundle does not answer as it should."""
    try:
        print(json.dumps(replay(bundle.load(pathlib.Path(sys.argv[1])))))
    except errors.FieldnetsError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
