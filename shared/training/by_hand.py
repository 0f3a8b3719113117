"""A network small enough to be computed by hand: forward, loss, gradients by the chain rule, and a step. NumPy alone.

Two inputs, one hidden layer with ReLU, two logits; loss is the cross-entropy. The gradients are those of Rumelhart,
Hinton and Williams 1986 (https://doi.org/10.1038/323533a0), written out.
"""

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from shared import errors

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """Something to learn from two numbers.

    Attributes:
        title: The question.
        features: Names of the two numbers, with their units.
        classes: Names of the two classes.
        raw: (n, 2) float64 in the units of ``features``.
        labels: (n,) int64, 0 or 1.
        names: n texts: what each row is, for a reader.

    Raises:
        errors.InputError: A shape is another one, or a class has no row.
    """

    title: str
    features: tuple[str, str]
    classes: tuple[str, str]
    raw: Floats
    labels: Ints
    names: list[str]

    def __post_init__(self) -> None:
        """Check shapes and classes."""
        rows = len(self.names)
        if self.raw.shape != (rows, 2) or self.labels.shape != (rows,) or set(self.labels.tolist()) != {0, 1}:
            raise errors.InputError(
                f"{self.title}: expected (n, 2) numbers and n labels of both classes. Received: "
                f"{self.raw.shape}, {self.labels.shape}, classes {sorted(set(self.labels.tolist()))}"
            )

    @property
    def standardized(self) -> Floats:
        """(n, 2) float64 of mean 0 and standard deviation 1."""
        spread = self.raw.std(axis=0)
        result: Floats = (self.raw - self.raw.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        return result


class Weights(NamedTuple):
    """All that is learnt: ``hidden = relu(x @ first + first_bias)``, ``logits = hidden @ last + last_bias``.

    ``first`` is (2, units), ``first_bias`` (units,), ``last`` (units, 2), ``last_bias`` (2,); all float64. Gradients
    have the same form.
    """

    first: Floats
    first_bias: Floats
    last: Floats
    last_bias: Floats

    @classmethod
    def draw(cls, units: int, *, seed: int) -> "Weights":
        """Draw the weights to begin with: normal with variance 2 / inputs (He et al. 2015), biases 0."""
        random = np.random.default_rng(seed)
        first = random.normal(0, np.sqrt(2 / 2), (2, units))
        last = random.normal(0, np.sqrt(2 / units), (units, 2))
        return cls(first, np.zeros(units), last, np.zeros(2))

    def step(self, gradients: "Weights", *, learning_rate: float) -> "Weights":
        """Return the weights after a step of gradient descent: each minus the learning rate times its gradient."""
        return Weights(*(weight - learning_rate * slope for weight, slope in zip(self, gradients, strict=True)))


class Forward(NamedTuple):
    """What the network computes on the way, for n rows.

    ``before`` (n, units) is the hidden layer before ReLU, ``hidden`` (n, units) after it, ``logits`` (n, 2),
    ``probabilities`` (n, 2).
    """

    before: Floats
    hidden: Floats
    logits: Floats
    probabilities: Floats


def forward(weights: Weights, inputs: Floats) -> Forward:
    """Compute (n, 2) inputs through the network."""
    before = inputs @ weights.first + weights.first_bias
    hidden = np.maximum(before, 0)
    logits = hidden @ weights.last + weights.last_bias
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return Forward(before, hidden, logits, raised / raised.sum(axis=1, keepdims=True))


def loss(weights: Weights, inputs: Floats, labels: Ints) -> float:
    """Return the mean cross-entropy in nats."""
    probabilities = forward(weights, inputs).probabilities[np.arange(len(labels)), labels]
    return float(-np.log(probabilities).mean())


def gradients(weights: Weights, inputs: Floats, labels: Ints) -> Weights:
    """Return the derivative of `loss` by every weight, by the chain rule from the loss back to the inputs."""
    found = forward(weights, inputs)
    by_logits = (found.probabilities - np.eye(2)[labels]) / len(labels)
    by_hidden = by_logits @ weights.last.T
    by_before = by_hidden * (found.before > 0)
    return Weights(inputs.T @ by_before, by_before.sum(axis=0), found.hidden.T @ by_logits, by_logits.sum(axis=0))


def by_finite_differences(weights: Weights, inputs: Floats, labels: Ints, *, nudge: float = 1e-5) -> Weights:
    """Return the same derivatives, by moving one weight after another a little to both sides."""
    found = []
    for place, values in enumerate(weights):
        slopes = np.zeros_like(values)
        for index in np.ndindex(values.shape):
            ends = []
            for side in (nudge, -nudge):
                moved = values.copy()
                moved[index] += side
                ends.append(loss(weights._replace(**{weights._fields[place]: moved}), inputs, labels))
            slopes[index] = (ends[0] - ends[1]) / (2 * nudge)
        found.append(slopes)
    return Weights(*found)


class Descent(NamedTuple):
    """How a training went.

    ``losses`` (epochs + 1,): of all rows, before the first epoch and after each. ``steps``: in an epoch.
    ``noise``: mean distance of a step's gradient from that of all rows, relative to the latter, in the first epoch.
    ``weights``: those of the end.
    """

    losses: list[float]
    steps: int
    noise: float
    weights: Weights


def descend(
    weights: Weights, problem: Problem, *, batch_size: int, epochs: int, learning_rate: float, seed: int
) -> Descent:
    """Train for some epochs, with a step for every ``batch_size`` rows in an order drawn for each epoch.

    All rows in a batch is batch gradient descent, one row stochastic, anything between mini-batch.
    """
    inputs, labels = problem.standardized, problem.labels
    random = np.random.default_rng(seed)
    losses, noises = [loss(weights, inputs, labels)], []
    for epoch in range(epochs):
        for rows in _batches(random.permutation(len(labels)), batch_size):
            slopes = gradients(weights, inputs[rows], labels[rows])
            if epoch == 0:
                noises.append(_distance(slopes, gradients(weights, inputs, labels)))
            weights = weights.step(slopes, learning_rate=learning_rate)
        losses.append(loss(weights, inputs, labels))
    return Descent(losses, len(noises), float(np.mean(noises)), weights)


def _batches(order: Ints, batch_size: int) -> Iterator[Ints]:
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def _distance(slopes: Weights, of_all: Weights) -> float:
    one, other = (np.concatenate([part.ravel() for part in each]) for each in (slopes, of_all))
    return float(np.linalg.norm(one - other) / max(float(np.linalg.norm(other)), 1e-12))
