"""Search the settings that matter, by average precision on validation."""

from typing import Any

import optuna

from apps.driving_perception import config


def suggest(trial: optuna.Trial, _settings: config.Config) -> dict[str, Any]:
    """Return one configuration to try."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 3e-4, 5e-3, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-4, 0.1, log=True),
        "mosaic": trial.suggest_float("mosaic", 0.0, 0.8),
        "photometric": trial.suggest_float("photometric", 0.0, 0.6),
        "box_weight": trial.suggest_float("box_weight", 1.0, 4.0),
    }
