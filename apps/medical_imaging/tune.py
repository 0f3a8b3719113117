"""Search the settings that matter, by AUROC on validation."""

from typing import Any

import optuna

from apps.medical_imaging import config


def suggest(trial: optuna.Trial, _settings: config.Config) -> dict[str, Any]:
    """Return one configuration to try."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-4, 0.1, log=True),
        "dropout_rate": trial.suggest_float("dropout_rate", 0.0, 0.6),
        "label_smoothing": trial.suggest_float("label_smoothing", 0.0, 0.2),
        "exposure": trial.suggest_float("exposure", 0.0, 0.6),
    }
