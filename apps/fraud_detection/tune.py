"""Search the settings that matter, by average precision on validation."""

from typing import Any

import optuna

from apps.fraud_detection import config


def suggest(trial: optuna.Trial, settings: config.Config) -> dict[str, Any]:
    """Return one configuration to try: only settings that the chosen networks use."""
    tried: dict[str, Any] = {
        "learning_rate": trial.suggest_float("learning_rate", 3e-4, 5e-3, log=True),
        "dropout_rate": trial.suggest_float("dropout_rate", 0.0, 0.5),
        "weight_decay": trial.suggest_float("weight_decay", 1e-5, 1e-1, log=True),
        "encoding": trial.suggest_categorical("encoding", ["standard", "piecewise", "both"]),
    }
    if any(config.kind(name) == "sequence" for name in settings.networks):
        tried["sequence_length"] = trial.suggest_int("sequence_length", 3, 20)
    return tried
