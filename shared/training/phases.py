"""A training in parts: first what is new alone, where the rest is pretrained, then the network."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from shared import files
from shared.training import fit as fitting

# Of a pretrained backbone, what stays of the first layers as it is: edges and textures are the same in every picture.
FROZEN_PART = 0.4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phase:
    """A part of the training.

    Attributes:
        epochs: Most passes.
        learning_rate: The schedule's peak.
        head_only: Whether the backbone stays as it is.
    """

    epochs: int
    learning_rate: float
    head_only: bool = False


def freeze(layers: Sequence[Any], *, head_only: bool, pretrained: bool) -> None:
    """Let none of a backbone's layers learn, or all but the first ``FROZEN_PART`` of pretrained ones.

    Args:
        layers: Of the backbone, in their order.
        head_only: Whether none learns.
        pretrained: Whether there is something to keep in the first ones.
    """
    frozen = len(layers) if head_only else int(FROZEN_PART * len(layers)) if pretrained else 0
    for number, layer in enumerate(layers):
        layer.trainable = number >= frozen


def plan(*, epochs: int, frozen_epochs: int, learning_rate: float, head_speed: float) -> dict[str, Phase]:
    """Return the parts in their order: ``head`` for the first ``frozen_epochs``, ``network`` for the rest.

    Args:
        epochs: Most passes in all.
        frozen_epochs: How many of them the backbone stays as it is; 0: there is no such part.
        learning_rate: Peak for the network.
        head_speed: How many times that is the peak for the head alone.

    >>> list(plan(epochs=3, frozen_epochs=1, learning_rate=0.1, head_speed=2.0))
    ['head', 'network']
    """
    found = {}
    if frozen_epochs:
        found["head"] = Phase(epochs=frozen_epochs, learning_rate=head_speed * learning_rate, head_only=True)
    if epochs > frozen_epochs:
        found["network"] = Phase(epochs=epochs - frozen_epochs, learning_rate=learning_rate)
    return found


def fit_settings(
    settings: Any, phase: Phase, *, gradient_clip_norm: float, evaluation_batch_size: int
) -> fitting.FitSettings:
    """Return how one part of the training goes.

    Args:
        settings: The run's configuration.
        phase: The part.
        gradient_clip_norm: Highest norm of all gradients together.
        evaluation_batch_size: Rows in a validation batch.
    """
    return fitting.FitSettings(
        epochs=phase.epochs,
        batch_size=settings.batch_size,
        optimizer=settings.optimizer,
        learning_rate=phase.learning_rate,
        schedule=settings.schedule,
        warmup_fraction=0.1,
        weight_decay=settings.weight_decay,
        gradient_clip_norm=gradient_clip_norm,
        ema_momentum=settings.ema_momentum,
        patience=settings.patience,
        seed=settings.seed,
        evaluation_batch_size=evaluation_batch_size,
    )


def outputs(folder: files.RunFolder, name: str, *, is_log_loss: bool = False) -> fitting.Outputs:
    """Return where one part leaves its traces, and how its progress is shown."""
    checkpoints = folder.checkpoints / name
    return fitting.Outputs(
        checkpoints=checkpoints,
        history=checkpoints / "history.csv",
        logs=folder.logs / name,
        is_log_loss=is_log_loss,
    )


def write_history(folder: files.RunFolder, histories: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Write the epochs of all parts, in their order, as the run's ``history.csv``, with the column ``phase`` first."""
    joined = pd.concat([pd.DataFrame(list(rows)).assign(phase=name) for name, rows in histories.items()])
    files.write_text(folder.history, joined[["phase", *joined.columns.drop("phase")]].to_csv(index=False))
