"""Search the settings that matter, by accuracy on validation."""

import pathlib
from typing import Any

import optuna

from apps.sentiment import config, train
from shared import cli, files
from shared.training import tuning


def tune(settings: config.Config, *, trials: int, output: pathlib.Path) -> cli.Result:
    """Train ``trials`` configurations and keep the best; see ``shared.training.tuning``."""

    def score(tried: config.Config, folder: files.RunFolder) -> float:
        return float(train.train(tried, folder)["validation"]["accuracy"])

    return tuning.search(
        settings,
        suggest=lambda trial: suggest(trial, settings),
        judge=score,
        metric="accuracy",
        trials=trials,
        output=output,
        seed=settings.seed,
    )


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
