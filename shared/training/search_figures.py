"""Figures of a search: what each trial came to, and which settings mattered."""

import pathlib

import numpy as np
import optuna
from optuna.trial import TrialState

from shared import files
from shared.report import drawing, figures

HISTORY, IMPORTANCE = "history.svg", "importance.svg"
# Fewer trials say nothing of settings.
_TRIALS_FOR_IMPORTANCE = 4


def write(study: optuna.Study, folder: pathlib.Path, *, metric: str) -> dict[str, str]:
    """Write the figures into the search's folder and return where they are; importance needs some trials that differ.

    Importance is the share of the metric's variance over the trials that a setting explains alone and with others, by a
    random forest (functional analysis of variance, Hutter et al. 2014).
    """
    written = {"history": str(folder / HISTORY)}
    files.write_text(folder / HISTORY, _history(study, metric=metric))
    shares = _importance(study)
    if shares:
        files.write_text(folder / IMPORTANCE, figures.bars(shares, axis_label="Share of the variance explained"))
        written["importance"] = str(folder / IMPORTANCE)
    return written


@drawing.styled
def _history(study: optuna.Study, *, metric: str) -> str:
    ended = [trial for trial in _finite(study) if trial.value is not None]
    numbers = [trial.number + 1 for trial in ended]
    values = [float(trial.value or 0.0) for trial in ended]
    canvas = drawing.Canvas()
    plot = canvas.axes()
    plot.step(numbers, np.maximum.accumulate(values), where="post", color=drawing.SERIES[0], label="Best so far")
    points = plot.scatter(numbers, values, s=26, color=drawing.MUTED, edgecolor=drawing.SURFACE, zorder=3)
    canvas.tooltip(points, [f"trial {number}: {value:.4f}" for number, value in zip(numbers, values, strict=True)])
    plot.set_xlabel("Trial")
    plot.set_ylabel(f"Validation {metric}")
    plot.legend()
    return canvas.svg()


def _importance(study: optuna.Study) -> dict[str, float]:
    ended = _finite(study)
    if len(ended) < _TRIALS_FOR_IMPORTANCE or len({trial.value for trial in ended}) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


def _finite(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    ended = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    return [trial for trial in ended if trial.value is not None and np.isfinite(trial.value)]
