"""Search the settings that matter, by validation log-loss, and write the best as a config file."""

import logging
import pathlib
from typing import Any

import optuna

from apps.sentiment import config, train
from shared import cli, files

log = logging.getLogger("fieldnets")


def tune(settings: config.Config, *, trials: int, output: pathlib.Path) -> cli.Result:
    """Train ``trials`` configurations and keep the best on validation; the test part is not read.

    An interrupted search goes on: finished trials are kept in ``search.db``, and their runs beside it.

    Returns:
        The best validation accuracy, its settings, and the config file for ``train --config``.
    """
    output.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name="sentiment",
        storage=f"sqlite:///{output / 'search.db'}",
        load_if_exists=True,
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=settings.seed),
    )

    def objective(trial: optuna.Trial) -> float:
        tried = settings.replace(suggest(trial, settings))
        folder = files.RunFolder.create(output / f"trial-{trial.number:03d}", overwrite=True)
        accuracy = float(train.train(tried, folder)["validation"]["accuracy"])
        log.info("trial %d: validation accuracy %.4f with %s", trial.number, accuracy, trial.params)
        return accuracy

    done = sum(trial.state == optuna.trial.TrialState.COMPLETE for trial in study.trials)
    study.optimize(objective, n_trials=max(trials - done, 0))
    best = output / "best.json"
    files.write_json(best, settings.replace(study.best_params).to_json())
    return {
        "trials": len(study.trials),
        "best_validation_accuracy": study.best_value,
        "best_settings": dict(study.best_params),
        "config": str(best),
    }


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
