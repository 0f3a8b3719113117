"""Search settings on validation data and write the best as a config file; the test part is not read."""

import logging
import math
import os
import pathlib
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import optuna

from shared import errors, files, resuming

log = logging.getLogger("fieldnets")

_RECORD, _TRIALS = "search.json", "search.db"
# What a trial bears that came to its end: one that was killed does not count.
_TRIED = "tried"


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

    An interrupted search goes on as if it had not been: finished trials are kept in ``search.db``, and their runs
    beside it. Each trial draws from a seed of its own, so that one that was cut off has the same settings again.

    Args:
        settings: The configuration that each trial changes; its seed is the sampler's.
        train: Trains a configuration into a run folder and returns ``{"validation": {metric: value}}``.
        metric: Name of the metric, the higher the better.
        suggest: Returns the changes of ``settings`` that a trial tries.
        trials: How many in all.
        output: Folder of the search.

    Returns:
        The best value, its settings, and the config file for ``train --config``.

    Raises:
        errors.InputError: The folder holds a search of other data or settings, or something else; or another process
            searches in it.
        errors.FieldnetsError: No trial came to a number.
    """
    _refuse_foreign(output)
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def objective(trial: optuna.Trial) -> float:
        folder = output / f"trial-{_tried(study):03d}"
        shutil.rmtree(folder, ignore_errors=True)
        value = float(
            train(settings.replace(suggest(trial, settings)), files.RunFolder.create(folder))["validation"][metric]
        )
        _refuse_other_data(folder, output)
        log.info("%s: validation %s %.4f with %s", folder.name, metric, value, trial.params)
        trial.set_user_attr(_TRIED, True)
        return value

    with resuming.locked(output, what="`tune` in one folder"):
        resuming.begin(output / _RECORD, _made_of(settings, metric=metric), what="search")
        study = _study(output / _TRIALS)
        while (tried := _tried(study)) < trials:
            study.sampler = _sampler(settings.seed, tried)
            study.optimize(objective, n_trials=1)
        return _best(study, settings, metric=metric, output=output)


def _refuse_foreign(output: pathlib.Path) -> None:
    """Refuse a folder that holds something else, or a search from before its settings were kept with it."""
    held = [each.name for each in output.iterdir() if each.name != resuming.LOCK] if output.is_dir() else []
    if held and not (output / _RECORD).is_file() and not all(name.startswith(f".{_RECORD[:-5]}") for name in held):
        raise errors.InputError(
            f"{output}: expected a new folder, or one with a search of these settings ({_RECORD}). Received: one with "
            f"{', '.join(map(files.printable, sorted(held)[:3]))}; name another with --output-dir"
        )


def _made_of(settings: Any, *, metric: str) -> dict[str, Any]:
    """Return what decides a search: every setting, the content of every file and folder that one names, this code."""
    values = [each for value in settings.to_json().values() for each in (value if isinstance(value, list) else [value])]
    named = sorted({value for value in values if isinstance(value, str) and value and os.path.exists(value)})
    data = [{"file": name, "sha256": resuming.digest(pathlib.Path(name))} for name in named]
    app = type(settings).__module__.removeprefix("fieldnets.")
    return {"app": app, "files": data, "settings": settings.to_json(), "metric": metric} | resuming.version()


def _refuse_other_data(folder: pathlib.Path, output: pathlib.Path) -> None:
    """Refuse to compare trials of other data: files that a table names may have changed, and are in no record."""
    certificates = [output / "trial-000" / "split.json", folder / "split.json"]
    if not all(path.is_file() for path in certificates):
        return
    begun, now = (files.read_json(path).get("checks", {}).get("data_sha256") for path in certificates)
    if begun != now:
        raise errors.InputError(
            f"{output}: expected the data of the first trial in every trial. Received: data that have changed; "
            " begin a new search with another --output-dir"
        )


def _study(path: pathlib.Path) -> optuna.Study:
    # Not as a URL: question marks, percent signs and brackets of the path would mean something there.
    storage = optuna.storages.RDBStorage("sqlite://", engine_kwargs={"creator": lambda: sqlite3.connect(path)})
    return optuna.create_study(study_name="search", storage=storage, load_if_exists=True, direction="maximize")


def _tried(study: optuna.Study) -> int:
    trials = study.get_trials(deepcopy=False)
    return sum(trial.state.is_finished() and trial.user_attrs.get(_TRIED, False) for trial in trials)


def _sampler(seed: int, tried: int) -> optuna.samplers.BaseSampler:
    """Return the sampler of one trial; with one for all, a resumed search would draw the first settings again."""
    own = int(np.random.SeedSequence([seed, tried]).generate_state(1)[0])
    return optuna.samplers.TPESampler(seed=own)


def _best(study: optuna.Study, settings: Any, *, metric: str, output: pathlib.Path) -> dict[str, Any]:
    if not any(trial.value is not None and math.isfinite(trial.value) for trial in study.trials):
        raise errors.FieldnetsError(f"{output}: expected a trial with a validation {metric}. Received: none")
    best = output / "best.json"
    files.write_json(best, settings.replace(study.best_params).to_json())
    return {
        "trials": _tried(study),
        f"best_validation_{metric}": study.best_value,
        "best_settings": dict(study.best_params),
        "config": str(best),
    }
