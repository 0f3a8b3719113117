"""Search settings on validation data and write the best as a config file; the test part is not read.

One process tries a trial after the other, or several processes work on one search: the trials lie in a journal, to
which all append. On several machines its file system is one that locks files for all of them.
"""

import dataclasses
import fcntl
import logging
import math
import os
import pathlib
import shutil
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import optuna
from optuna.storages import journal
from optuna.trial import TrialState

from shared import errors, files, resuming

log = logging.getLogger("fieldnets")

_RECORD, _TRIALS, _CLAIMS = "search.json", "search.journal", "search.claims"
_BEFORE_JOURNALS = "search.db"
# What a trial bears: which of the search's trials it is, and that it came to its end though to no number.
_PLACE, _NO_NUMBER = "place", "no number"
_RESTARTS = 3
# A trial is ended from this epoch on, and when so many have come to their end.
_FIRST_EPOCH, _FIRST_TRIAL = 2, 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Search:
    """What is searched, and how.

    Attributes:
        settings: The configuration that each trial changes; its seed is the sampler's.
        train: Trains a configuration into a run folder and returns ``{"validation": {metric: value}}``.
        metric: Name of the metric, the higher the better.
        suggest: Returns the changes of ``settings`` that a trial tries.
        trials: How many in all.
        output: Folder of the search.
        workers: Processes that try at the same time.
        prune: End a trial that in an epoch is worse than the median of the others was.
        start: Starts so many processes, each of which calls ``work``, and returns when all have ended; None: this
            process tries all itself.
    """

    settings: Any
    train: Callable[[Any, files.RunFolder], Mapping[str, Any]]
    metric: str
    suggest: Callable[[optuna.Trial, Any], Mapping[str, Any]]
    trials: int
    output: pathlib.Path
    workers: int = 1
    prune: bool = False
    start: Callable[[int], None] | None = None


def search(wanted: Search) -> dict[str, Any]:
    """Try all configurations and keep the best on validation.

    An interrupted search goes on as if it had not been: finished trials are kept in ``search.journal``, and their runs
    beside it; those that were cut off run again. Each trial draws from a seed of its own, so that with one worker it
    has the same settings again. With more it depends on which trials have ended when one begins.

    Returns:
        The best value, its settings, the config file for ``train --config``, and the figures.

    Raises:
        errors.InputError: The folder holds a search of other data or settings, or something else; or another process
            searches in it.
        errors.FieldnetsError: No trial came to a number, or processes were killed again and again.
    """
    _refuse_foreign(wanted.output)
    with resuming.locked(wanted.output, what="`tune` in one folder"):
        resuming.begin(wanted.output / _RECORD, _made_of(wanted), what="search")
        _mend(wanted.output / _TRIALS)
        study = _study(wanted)
        _try_all(study, wanted)
        from shared.training import search_figures

        return _best(study, wanted) | search_figures.write(study, wanted.output, metric=wanted.metric)


def _try_all(study: optuna.Study, wanted: Search) -> None:
    """Try what is left, again where a process was killed."""
    for _attempt in range(_RESTARTS + 1):
        for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
            # Nobody else works in this folder: whoever tried it has been killed.
            study.tell(trial.number, state=TrialState.FAIL)
        left = wanted.trials - len(_tried(study))
        if left <= 0:
            return
        if wanted.start is None:
            work(wanted)
        else:
            wanted.start(min(wanted.workers, left))
    if len(_tried(study)) < wanted.trials:
        raise errors.FieldnetsError(
            f"{wanted.output}: expected {wanted.trials} trials that come to an end. Received: {len(_tried(study))}; "
            "the others were killed, and the same command goes on with them"
        )


def work(wanted: Search) -> None:
    """Try one trial after the other until all are tried or other processes try them."""
    study = _study(wanted)
    while (claimed := _claim(study, wanted)) is not None:
        _try(study, *claimed, wanted)


def _claim(study: optuna.Study, wanted: Search) -> tuple[optuna.Trial, int] | None:
    """Begin the first trial that nobody has tried or tries; two processes never begin the same."""
    with resuming.locked(wanted.output / _CLAIMS, what="a claim", wait=True):
        running = study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
        taken = _tried(study) | {trial.user_attrs.get(_PLACE) for trial in running}
        place = next((each for each in range(wanted.trials) if each not in taken), None)
        if place is None:
            return None
        study.sampler = _sampler(wanted.settings.seed, place, together=wanted.workers > 1)
        trial = study.ask()
        trial.set_user_attr(_PLACE, place)
        return trial, place


def _try(study: optuna.Study, trial: optuna.Trial, place: int, wanted: Search) -> None:
    folder = wanted.output / f"trial-{place:03d}"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        value = _value(trial, folder, wanted)
        _refuse_other_data(folder, wanted.output)
    except optuna.TrialPruned:
        log.info("%s: ended, worse than the median of the others, with %s", folder.name, trial.params)
        study.tell(trial, state=TrialState.PRUNED)
        return
    except Exception:
        study.tell(trial, state=TrialState.FAIL)
        raise
    log.info("%s: validation %s %.4f with %s", folder.name, wanted.metric, value, trial.params)
    if math.isnan(value):
        trial.set_user_attr(_NO_NUMBER, True)
        study.tell(trial, state=TrialState.FAIL)
    else:
        study.tell(trial, value)


def _value(trial: optuna.Trial, folder: pathlib.Path, wanted: Search) -> float:
    settings = wanted.settings.replace(wanted.suggest(trial, wanted.settings))
    run = files.RunFolder.create(folder)
    if not wanted.prune:
        return float(wanted.train(settings, run)["validation"][wanted.metric])
    from shared.training import callbacks

    watched: list[pathlib.Path] = []

    def report(training: pathlib.Path, epoch: int, value: float) -> None:
        # The first network of a run stands for all: epochs of a second one would be compared with those of the first.
        watched.append(training)
        if training == watched[0]:
            trial.report(value, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned

    with callbacks.reporting(report):
        return float(wanted.train(settings, run)["validation"][wanted.metric])


def _refuse_foreign(output: pathlib.Path) -> None:
    """Refuse a folder that holds something else, or a search of a version that kept its trials otherwise."""
    held = [each.name for each in output.iterdir() if each.name != resuming.LOCK] if output.is_dir() else []
    if held and not (output / _RECORD).is_file() and not all(name.startswith(f".{_RECORD[:-5]}") for name in held):
        raise errors.InputError(
            f"{output}: expected a new folder, or one with a search of these settings ({_RECORD}). Received: one with "
            f"{', '.join(map(files.printable, sorted(held)[:3]))}; name another with --output-dir"
        )
    if _BEFORE_JOURNALS in held:
        raise errors.InputError(
            f"{output}: expected a search whose trials are in {_TRIALS}. Received: one from before, in "
            f"{_BEFORE_JOURNALS}; begin a new one with another --output-dir"
        )


def _made_of(wanted: Search) -> dict[str, Any]:
    """Return what decides a search: every setting, the content of every file and folder that one names, this code."""
    settings = wanted.settings
    values = [each for value in settings.to_json().values() for each in (value if isinstance(value, list) else [value])]
    named = sorted({value for value in values if isinstance(value, str) and value and os.path.exists(value)})
    data = [{"file": name, "sha256": resuming.digest(pathlib.Path(name))} for name in named]
    app = type(settings).__module__.removeprefix("fieldnets.")
    found = {"app": app, "files": data, "settings": settings.to_json(), "metric": wanted.metric} | resuming.version()
    return found | ({"prune": True} if wanted.prune else {})


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


def _study(wanted: Search) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = os.fspath(wanted.output / _TRIALS)
    storage = optuna.storages.JournalStorage(journal.JournalFileBackend(path, lock_obj=_Lock(path)))
    pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
    if wanted.prune:
        pruner = optuna.pruners.MedianPruner(n_startup_trials=_FIRST_TRIAL, n_warmup_steps=_FIRST_EPOCH)
    return optuna.create_study(
        study_name="search", storage=storage, load_if_exists=True, direction="maximize", pruner=pruner
    )


class _Lock(journal.JournalFileOpenLock):
    """A lock of the journal that ends with its process: Optuna's are files, which a killed process leaves."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._path = f"{path}.lock"
        self._handle = -1

    def acquire(self) -> bool:
        """Wait for it."""
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        """Give it back."""
        os.close(self._handle)


def _mend(path: pathlib.Path) -> None:
    """Take the last line off where a kill left its beginning: what is appended to it could not be read."""
    held = path.read_bytes() if path.exists() else b""
    whole = held[: held.rfind(b"\n") + 1]
    if held != whole:
        os.truncate(path, len(whole))


def _tried(study: optuna.Study) -> set[int]:
    """Return which of the search's trials came to their end; one that was killed did not."""
    ended = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL])
    return {
        trial.user_attrs[_PLACE]
        for trial in ended
        if trial.state != TrialState.FAIL or trial.user_attrs.get(_NO_NUMBER, False)
    }


def _sampler(seed: int, place: int, *, together: bool) -> optuna.samplers.BaseSampler:
    """Return the sampler of one trial; with one for all, a resumed search would draw the first settings again.

    Args:
        seed: The search's.
        place: Which of its trials.
        together: Whether others run at the same time: it keeps away from them.
    """
    own = int(np.random.SeedSequence([seed, place]).generate_state(1)[0])
    return optuna.samplers.TPESampler(seed=own, constant_liar=together)


def _best(study: optuna.Study, wanted: Search) -> dict[str, Any]:
    ended = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    if not any(trial.value is not None and math.isfinite(trial.value) for trial in ended):
        raise errors.FieldnetsError(
            f"{wanted.output}: expected a trial with a validation {wanted.metric}. Received: none"
        )
    best = wanted.output / "best.json"
    files.write_json(best, wanted.settings.replace(study.best_params).to_json())
    pruned = len(study.get_trials(deepcopy=False, states=[TrialState.PRUNED]))
    return {
        "trials": len(_tried(study)),
        **({"pruned": pruned} if pruned else {}),
        f"best_validation_{wanted.metric}": study.best_value,
        "best_settings": dict(study.best_params),
        "config": str(best),
    }
