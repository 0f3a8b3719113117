"""Search the settings that matter, by AUROC on validation."""

import pathlib
from typing import Any

import optuna

from apps.medical_imaging import config, train
from shared import cli, files
from shared.training import tuning


def tune(settings: config.Config, *, trials: int, output: pathlib.Path) -> cli.Result:
    """Train ``trials`` configurations and keep the best; see ``shared.training.tuning``."""

    def judge(tried: config.Config, folder: files.RunFolder) -> float:
        return float(train.train(tried, folder)["validation"]["auroc"])

    return tuning.search(
        settings,
        suggest=suggest,
        judge=judge,
        metric="auroc",
        trials=trials,
        output=output,
        seed=settings.seed,
    )


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    """Return one configuration to try."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-4, 0.1, log=True),
        "dropout_rate": trial.suggest_float("dropout_rate", 0.0, 0.6),
        "label_smoothing": trial.suggest_float("label_smoothing", 0.0, 0.2),
        "exposure": trial.suggest_float("exposure", 0.0, 0.6),
    }
