"""Bundles of plain functions in place of SavedModels, so that protocols are tested without TensorFlow."""

import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest import mock

import numpy as np

from shared.bundle import reading as bundle

Function = Callable[[Mapping[str, Any]], dict[str, Any]]


class Shape(tuple[int | None, ...]):
    """A shape as TensorFlow's: None is free."""

    @property
    def rank(self) -> int:
        return len(self)

    def is_compatible_with(self, other: tuple[int, ...]) -> bool:
        return len(self) == len(other) and all(a in (None, b) for a, b in zip(self, other, strict=True))


@dataclasses.dataclass(frozen=True)
class Kind:
    """A type as TensorFlow's."""

    name: str

    @property
    def as_numpy_dtype(self) -> Any:
        return object if self.name == "string" else np.dtype(self.name).type

    @property
    def is_integer(self) -> bool:
        return self.name.startswith(("int", "uint"))

    @property
    def min(self) -> Any:
        return (np.iinfo if self.is_integer else np.finfo)(self.name).min

    @property
    def max(self) -> Any:
        return (np.iinfo if self.is_integer else np.finfo)(self.name).max


@dataclasses.dataclass(frozen=True)
class Spec:
    """A tensor's type and shape as TensorFlow's."""

    dtype: Kind
    shape: Shape
    name: str = ""


def spec(kind: str, *row: int | None) -> Spec:
    """Return the spec of rows of a shape."""
    return Spec(Kind(kind), Shape((None, *row)))


@dataclasses.dataclass(frozen=True)
class Signature:
    """A function with what it takes and gives."""

    function: Function
    inputs: Mapping[str, Spec]
    outputs: Mapping[str, Spec]


@dataclasses.dataclass(frozen=True, kw_only=True)
class StandIn(bundle.Bundle):
    """A bundle whose signatures are functions."""

    @property
    def signatures(self) -> list[str]:
        return sorted(self.loaded)

    def inputs(self, signature: str = "serving_default") -> dict[str, Any]:
        return dict(sorted(self.loaded[signature].inputs.items()))

    def outputs(self, signature: str = "serving_default") -> dict[str, Any]:
        return dict(sorted(self.loaded[signature].outputs.items()))

    def run(self, inputs: Mapping[str, Any], *, signature: str = "serving_default") -> dict[str, Any]:
        answer: dict[str, Any] = self.loaded[signature].function(inputs)
        return answer


MODELS: dict[str, Mapping[str, Signature]] = {}


def write(repository: pathlib.Path, name: str, version: str, golden: Mapping[str, Any]) -> pathlib.Path:
    """Write a version folder of a model in ``MODELS``."""
    folder = repository / name / version
    outputs = MODELS[name]["serving_default"].function({key: np.array(rows) for key, rows in golden.items()})
    content = {
        "golden.json": {
            "inputs": {key: bundle.encode(np.array(rows)) for key, rows in golden.items()},
            "outputs": {key: bundle.encode(rows) for key, rows in outputs.items()},
            "tolerance": 1e-6,
        },
        "decision.json": {},
        "drift_reference.json": {},
        "display.json": {"title": name},
    }
    (folder / bundle.EXTRA).mkdir(parents=True)
    for filename, each in content.items():
        (folder / bundle.EXTRA / filename).write_text(json.dumps(each))
    (folder / bundle.EXTRA / "model_card.md").write_text(f"# {name}\n")
    (folder / "saved_model.pb").write_bytes(b"")
    bundle.write_manifest(folder, {"name": name, "version": int(version)})
    return folder


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """Let bundles be loaded as stand-ins; their manifests are checked as ever."""

    def load(path: pathlib.Path) -> bundle.Bundle:
        bundle.check_manifest(path)
        return StandIn(path=path, name=path.parent.name, version=bundle.number(path), loaded=MODELS[path.parent.name])

    def engine(loaded: Any, _wanted: str) -> Any:
        found = StandIn(**vars(loaded))
        object.__setattr__(found, "engine", mock.Mock(signature="serving_default"))
        found.engine.name = "tensorflow"  # type: ignore[attr-defined]
        return found

    with mock.patch.object(bundle, "load", load), mock.patch("shared.bundle.engines.with_engine", engine):
        yield


def _words(given: Mapping[str, Any]) -> list[list[str]]:
    texts = [text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text) for text in given["text"]]
    return [text.split() for text in texts]


def _score(given: Mapping[str, Any]) -> dict[str, Any]:
    share = np.array([0.9 if "good" in words else 0.2 for words in _words(given)], np.float32)
    labels = np.where(share > 0.5, "positive", "negative").astype(object)
    return {"scores": np.stack([1 - share, share], 1), "labels": labels, "decision": labels}


def _explain(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the words of each text, filled up to the longest of the batch as a network would."""
    words = _words(given)
    most = max(map(len, words), default=0)
    rows = [[*each, *[""] * (most - len(each))] for each in words]
    return {"tokens": np.array(rows, object).reshape(len(words), most)}


def _add(given: Mapping[str, Any]) -> dict[str, Any]:
    return {"score": 2 * given["amount"], "sum": given["past"].sum(axis=1, dtype=np.int64), "kept": given["count"]}


def _brightness(given: Mapping[str, Any]) -> dict[str, Any]:
    return {"size": np.array([len(each) for each in given["image_bytes"]], np.int32)}


_TEXT = {"text": spec("string")}
MODELS["words"] = {
    "serving_default": Signature(
        _score, _TEXT, {"scores": spec("float32", 2), "labels": spec("string"), "decision": spec("string")}
    ),
    "explain": Signature(_explain, _TEXT, {"tokens": spec("string", None)}),
}
MODELS["numbers"] = {
    "serving_default": Signature(
        _add,
        {"amount": spec("float32"), "past": spec("int32", 2), "count": spec("int64"), "flag": spec("bool")},
        {"score": spec("float32"), "sum": spec("int64"), "kept": spec("int64")},
    )
}
MODELS["files"] = {"serving_default": Signature(_brightness, {"image_bytes": spec("string")}, {"size": spec("int32")})}
GOLDEN: dict[str, dict[str, Any]] = {
    "words": {"text": np.array(["good film", "bad"], object)},
    "numbers": {
        "amount": np.array([1.5, 2.0], np.float32),
        "past": np.array([[1, 2], [3, 4]], np.int32),
        "count": np.array([1, 2]),
        "flag": np.array([True, False]),
    },
    "files": {"image_bytes": np.array([b"\x89PNG", b""], object)},
}
