"""Search the settings that matter, by average precision on validation."""

import pathlib
from typing import Any

import optuna

from apps.driving_perception import config, train
from shared import cli, files
from shared.training import tuning


def tune(settings: config.Config, *, trials: int, output: pathlib.Path) -> cli.Result:
    """Train ``trials`` configurations and keep the best; see ``shared.training.tuning``."""

    def judge(tried: config.Config, folder: files.RunFolder) -> float:
        return float(train.train(tried, folder)["validation"]["map_50"])

    return tuning.search(
        settings,
        suggest=suggest,
        judge=judge,
        metric="map_50",
        trials=trials,
        output=output,
        seed=settings.seed,
    )


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    """Return one configuration to try."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 3e-4, 5e-3, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-4, 0.1, log=True),
        "mosaic": trial.suggest_float("mosaic", 0.0, 0.8),
        "photometric": trial.suggest_float("photometric", 0.0, 0.6),
        "box_weight": trial.suggest_float("box_weight", 1.0, 4.0),
    }
