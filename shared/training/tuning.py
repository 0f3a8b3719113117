"""Search settings on validation data and write the best as a config file; the test part is not read."""

import logging
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import optuna

from shared import files

log = logging.getLogger("fieldnets")


def search(
    settings: Any,
    *,
    train: Callable[[Any, files.RunFolder], Mapping[str, Any]],
    metric: str,
    suggest: Callable[[optuna.Trial, Any], Mapping[str, Any]],
    trials: int,
    output: pathlib.Path,
) -> dict[str, Any]:
    """Train ``trials`` configurations and keep the best on validation.

    An interrupted search goes on: finished trials are kept in ``search.db``, and their runs beside it.

    Args:
        settings: The configuration that each trial changes; its seed is the sampler's.
        train: Trains a configuration into a run folder and returns ``{"validation": {metric: value}}``.
        metric: Name of the metric, the higher the better.
        suggest: Returns the changes of ``settings`` that a trial tries.
        trials: How many in all.
        output: Folder of the search.

    Returns:
        The best value, its settings, and the config file for ``train --config``.
    """
    output.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name="search",
        storage=f"sqlite:///{output / 'search.db'}",
        load_if_exists=True,
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=settings.seed),
    )

    def objective(trial: optuna.Trial) -> float:
        folder = files.RunFolder.create(output / f"trial-{trial.number:03d}", overwrite=True)
        value = float(train(settings.replace(suggest(trial, settings)), folder)["validation"][metric])
        log.info("trial %d: validation %s %.4f with %s", trial.number, metric, value, trial.params)
        return value

    done = sum(trial.state == optuna.trial.TrialState.COMPLETE for trial in study.trials)
    study.optimize(objective, n_trials=max(trials - done, 0))
    best = output / "best.json"
    files.write_json(best, settings.replace(study.best_params).to_json())
    return {
        "trials": len(study.trials),
        f"best_validation_{metric}": study.best_value,
        "best_settings": dict(study.best_params),
        "config": str(best),
    }
