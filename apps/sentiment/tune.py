"""Search the settings that matter, by accuracy on validation."""

from typing import Any

import optuna

from apps.sentiment import config


def suggest(trial: optuna.Trial, settings: config.Config) -> dict[str, Any]:
    """Return one configuration to try: only settings that the chosen networks use."""
    tried: dict[str, Any] = {
        "label_smoothing": trial.suggest_float("label_smoothing", 0.0, 0.2),
        "batch_size": trial.suggest_categorical("batch_size", [32, 64, 128]),
    }
    if "ngram" in settings.networks:
        tried["ngram_orders"] = trial.suggest_int("ngram_orders", 1, 3)
    if set(settings.networks) & {"cnn", "lstm"}:
        tried["embedding_dropout_rate"] = trial.suggest_float("embedding_dropout_rate", 0.0, 0.6)
        tried["dropout_rate"] = trial.suggest_float("dropout_rate", 0.0, 0.7)
    return tried
