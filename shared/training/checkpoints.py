"""One atomic file that holds all of a training's state after a complete epoch.

A process may be killed at any moment, also while it writes this file: the old file stays until the new one is
whole. Nothing else decides what happens next, because an epoch's order is a pure function of (seed, epoch). The file of
the epoch before is kept, too: where a disk damages the newest, a training goes on from that one, to the same weights.
"""

import dataclasses
import json
import logging
import os
import pathlib
import shutil
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from typing_extensions import TypedDict

from shared import errors, files, stored

_LOG = logging.getLogger("fieldnets")

# What NumPy, zipfile and JSON raise for a file that is damaged or another one.
_BROKEN = (
    *(OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError, NotImplementedError, MemoryError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)


@dataclasses.dataclass
class State:
    """Where a training stands.

    Attributes:
        identity: What must be the same for the training to go on: settings, data, loss.
        history: One row for each complete epoch.
        best_epoch: Epoch of the best value, counted from 1; 0 before the first.
        best_value: Highest value of the monitor.
        best_weights: The model's weights in that epoch.
        seconds: Time spent, in all processes together.
        finished: Whether there is nothing left to do.
    """

    identity: dict[str, Any]
    history: list[dict[str, float]] = dataclasses.field(default_factory=list)
    best_epoch: int = 0
    best_value: float = -np.inf
    best_weights: list[np.ndarray] = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    finished: bool = False

    @property
    def epoch(self) -> int:
        """Complete epochs."""
        return len(self.history)


def save(path: pathlib.Path, *, model: keras.Model, state: State) -> None:
    """Write the model's variables, the optimizer's and ``state`` into one ``.npz``, atomically; keep the one before."""
    described = {
        field.name: getattr(state, field.name) for field in dataclasses.fields(state) if field.name != "best_weights"
    }
    described["variables"] = _shapes(model)
    arrays = {
        "state": np.array(json.dumps(described)),
        **_numbered("variable", [keras.ops.convert_to_numpy(variable) for variable in _variables(model)]),
        **_numbered("best", state.best_weights),
    }
    with files.atomic(path) as temporary:
        np.savez(temporary, allow_pickle=False, **arrays)
        _keep(path)


def before(path: pathlib.Path) -> pathlib.Path:
    """Return where the checkpoint of the epoch before is.

    >>> before(pathlib.Path("checkpoint.npz")).name
    'checkpoint-before.npz'
    """
    return path.with_name(f"{path.stem}-before{path.suffix}")


def _keep(path: pathlib.Path) -> None:
    """Give the checkpoint that is about to be replaced its second name."""
    if not path.exists():
        return
    with files.atomic(before(path)) as temporary:
        temporary.unlink()
        try:
            os.link(path, temporary)
        except OSError:
            shutil.copyfile(path, temporary)


def mend(path: pathlib.Path) -> None:
    """Put the checkpoint of the epoch before in the place of one that is damaged, if that one is whole."""
    if not path.exists() or not before(path).exists():
        return
    try:
        _read(path)
    except errors.InputError as error:
        try:
            _read(before(path))
        except errors.InputError:
            return
        _LOG.warning("%s; going on from the epoch before", error)
        before(path).replace(path)


def load(path: pathlib.Path, *, model: keras.Model, identity: Mapping[str, Any]) -> State:
    """Put a checkpoint's values into ``model`` and its optimizer, and return the state, or a new one.

    Raises:
        errors.InputError: The file is broken, or belongs to another training.
    """
    if not path.exists():
        return State(identity=dict(identity))
    described, arrays = _read(path)
    saved = {"model": described.pop("variables"), **described["identity"]}
    asked = {"model": _shapes(model), **identity}
    _refuse_another_training(path, saved=saved, asked=asked)
    for variable, value in zip(_variables(model), _in_order("variable", arrays), strict=True):
        variable.assign(value)
    return State(best_weights=_in_order("best", arrays), **described)


def remove_leftovers(path: pathlib.Path) -> None:
    """Delete the temporary files of writes of ``path`` that were killed."""
    for leftover in path.parent.glob(f".{path.stem}-*{path.suffix}"):
        leftover.unlink(missing_ok=True)


def _variables(model: keras.Model) -> list[Any]:
    """Everything a step changes: weights, BatchNorm statistics, Dropout's seeds, optimizer slots, steps."""
    return [*model.variables, *model.optimizer.variables]


def _shapes(model: keras.Model) -> list[list[int]]:
    """Tell one network from another. Names would not do: Keras numbers them on within a process."""
    return [list(variable.shape) for variable in _variables(model)]


class _Described(TypedDict):
    """What is said of a state beside its arrays; before the first epoch the best value is minus infinity."""

    identity: dict[str, Any]
    history: list[dict[str, int | float]]
    best_epoch: stored.Count
    best_value: float
    seconds: stored.NotNegative
    finished: stored.Flag
    variables: list[list[stored.Count]]


def _read(path: pathlib.Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return what a checkpoint says and its arrays; whatever is wrong with it, one error says what to do."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            arrays = dict(archive)
        described = stored.check(_Described, json.loads(str(arrays["state"])), where="state")
    except _BROKEN as error:
        raise errors.InputError(
            f"{path}: expected a checkpoint; delete the file to train from the start. Received: {error}"
        ) from error
    return dict(described), arrays


def _refuse_another_training(path: pathlib.Path, *, saved: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    # Through JSON, because that is where the saved values have been: tuples came back as lists.
    asked = json.loads(json.dumps(asked))
    differing = [name for name in asked if saved.get(name) != asked[name]]
    if differing:
        name = differing[0]
        raise errors.InputError(
            f"{path}: expected the same training as began here, with {name} = {saved.get(name)}. "
            f"Received: {asked[name]}. Train in another folder, or delete this one's checkpoint."
        )


def _numbered(prefix: str, arrays: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{prefix}/{number}": array for number, array in enumerate(arrays)}


def _in_order(prefix: str, arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    count = sum(name.startswith(f"{prefix}/") for name in arrays)
    return [arrays[f"{prefix}/{number}"] for number in range(count)]
