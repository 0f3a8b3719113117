"""A training that ends in a given time: each network gets the epochs that fit.

`plan` shares a time out over the trainings that a dry run found (`shared.training.estimates`), each in proportion to
what it was asked for, so that learning-rate schedules are whole and the ensemble has all its members. The plan is kept
with the run: resumed, the same epochs are trained, to the same weights.
"""

import contextlib
import contextvars
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras

from shared import errors
from shared.training import datasets, estimates

# Steps under load, and calibration on longer-trained networks, take more than was measured.
MARGIN = 1.2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """How many epochs each training gets.

    Attributes:
        limit_seconds: What was asked for.
        expected_seconds: What it will take, by the dry run, which is counted.
        networks: Name of the checkpoints' folder of each training, in their order.
        asked: Epochs that the settings ask for.
        epochs: Epochs that it gets, at least 1.
    """

    limit_seconds: float
    expected_seconds: float
    networks: tuple[str, ...]
    asked: tuple[int, ...]
    epochs: tuple[int, ...]

    @property
    def cut(self) -> dict[str, str]:
        """Trainings that get fewer epochs than they were asked for: name -> ``4 of 12 epochs``."""
        rows = zip(self.networks, self.asked, self.epochs, strict=True)
        return {name: f"{given} of {asked} epochs" for name, asked, given in rows if given < asked}

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able mapping; ``cut`` is there for who reads it without this class."""
        return {**dataclasses.asdict(self), "cut": self.cut}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], *, where: str) -> "Plan":
        """Read what `to_json` wrote.

        Raises:
            errors.InputError: It is not what it should be.
        """
        try:
            lists = {name: tuple(content[name]) for name in ("networks", "asked", "epochs")}
            found = cls(
                limit_seconds=float(content["limit_seconds"]),
                expected_seconds=float(content["expected_seconds"]),
                **lists,
            )
        except (KeyError, TypeError, ValueError):
            raise errors.InputError(f"{where}: expected the plan of a time limit. Received: {dict(content)}") from None
        if len({len(values) for values in lists.values()}) != 1:
            raise errors.InputError(f"{where}: expected epochs for each network. Received: {dict(content)}")
        return found


def plan(
    planned: Sequence[estimates.Planned], *, limit_seconds: float, other_seconds: float, passed_seconds: float
) -> Plan:
    """Share a time out over trainings.

    Args:
        planned: What a dry run found.
        limit_seconds: For all.
        other_seconds: What reading, splitting, building and calibrating take.
        passed_seconds: What the dry run itself took.

    Raises:
        errors.InputError: Not even one epoch of each fits.
    """
    fixed = passed_seconds + MARGIN * (other_seconds + sum(each.compile_seconds for each in planned))
    costs = [MARGIN * (each.steps * each.step_seconds + each.validation_seconds) for each in planned]
    asked = [each.epochs for each in planned]
    wanted = sum(cost * epochs for cost, epochs in zip(costs, asked, strict=True))
    least = fixed + sum(costs)
    if least > limit_seconds:
        raise errors.InputError(
            f"--time-limit: expected at least {least:.0f} s, one epoch of each network on this machine (--preset quick "
            f"takes less). Received: {limit_seconds:.0f} s"
        )
    share = min(1.0, (limit_seconds - fixed) / wanted) if wanted else 1.0
    # One epoch of each comes first: what rounding up costs is taken from those that have more.
    epochs = [max(1, int(share * each)) for each in asked]
    while fixed + _total(costs, epochs) > limit_seconds:
        dearest = max(range(len(epochs)), key=lambda at: costs[at] * (epochs[at] - 1))
        epochs[dearest] -= 1
    return Plan(
        limit_seconds=limit_seconds,
        expected_seconds=round(fixed + _total(costs, epochs), 1),
        networks=tuple(each.name for each in planned),
        asked=tuple(asked),
        epochs=tuple(epochs),
    )


def _total(costs: Sequence[float], epochs: Sequence[int]) -> float:
    return sum(cost * count for cost, count in zip(costs, epochs, strict=True))


_LEFT: contextvars.ContextVar[Iterator[tuple[str, int]] | None] = contextvars.ContextVar("left", default=None)


@contextlib.contextmanager
def kept_to(wanted: Plan | None) -> Iterator[None]:
    """Let the trainings in the block, in their order, have the epochs of a plan; without one, what they ask for."""
    token = _LEFT.set(None if wanted is None else iter(zip(wanted.networks, wanted.epochs, strict=True)))
    try:
        yield
    finally:
        _LEFT.reset(token)


def begin(
    model: keras.Model,
    train: datasets.Arrays,
    *,
    name: str,
    validation_rows: int,
    epochs: int,
    batch_size: datasets.BatchSize,
) -> tuple[list[estimates.Timer], datasets.Arrays, int]:
    """Return what times a training that begins, its rows and its epochs: fewer in a dry run, fewer epochs by a plan."""
    timers = estimates.planned(
        model, train, name=name, validation_rows=validation_rows, epochs=epochs, batch_size=batch_size
    )
    return timers, estimates.few(train, batch_size), allowed(epochs, name=name)


def allowed(asked: int, *, name: str) -> int:
    """Return the epochs that the next training has: those of the plan, 1 in a dry run, else ``asked``.

    Raises:
        errors.FieldnetsError: The plan is of other trainings.
    """
    left = _LEFT.get()
    if left is None:
        return estimates.wanted_epochs(asked)
    network, given = next(left, ("none", 0))
    if network != name:
        raise errors.FieldnetsError(
            f"Expected the training {network!r} by the plan of the time limit. Received: {name!r}"
        )
    return min(asked, given)
