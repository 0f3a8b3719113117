"""Go on learning from new labels, and keep the new model only where it is better: champion against challenger.

The newest labelled days compare the two. The challenger starts from the champion's weights and learns from the labelled
days before them, a label delay apart; the last of those days are for its early stopping and calibration.
"""

import dataclasses
import logging
import pathlib
import shutil
import typing
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from apps.fraud_detection import (
    config,
    data,
    feedback,
    folds,
    inputs,
    jobs,
    label_free,
    model,
    preprocessing,
    train,
)
from apps.fraud_detection import run as loaded_run
from apps.fraud_detection.transactions import UNKNOWN, Transactions
from shared import errors, files
from shared.evaluation import bootstrap, calibration, classification
from shared.models import losses
from shared.training import fit as fitting

log = logging.getLogger("fieldnets")

# Of the days to learn from, the share that only stops and calibrates; of the peak step size, what a warm start takes.
CALIBRATION_SHARE, STEP_SHARE = 0.3, 0.3
PROMOTED, REFUSED = "promoted", "refused"
RESULT = "update.json"


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Windows:
    """Rows of the update, oldest first.

    Attributes:
        train: Learnt from.
        calibration: Stops the training and calibrates.
        comparison: The newest labelled days.
    """

    train: npt.NDArray[np.int64]
    calibration: npt.NDArray[np.int64]
    comparison: npt.NDArray[np.int64]


def update(run: loaded_run.Run, settings: config.Config, *, seed: int) -> dict[str, Any]:
    """Train a challenger on the newest labels, compare both, and put the better one into the run folder.

    Args:
        run: The finished run, whose newest model is the champion.
        settings: Which source holds the newest transactions.
        seed: Of the bootstrap.

    Returns:
        What the command line prints; ``exit_code`` 3 where the champion stays.

    Raises:
        errors.InputError: There are too few labelled days, or a window without frauds.
    """
    found = data.load(settings, trained_on=run.inputs.schema, labelled=False)
    data.tell(found)
    found, verdicts = feedback.apply(run.folder.path, found)
    windows = cut(found, run.settings, seen=loaded_run.learned_among(run.folder.path, found))
    history, rows = inputs.compute_history(found, run.inputs.schema), dataclasses.asdict(windows)
    arrays = {name: preprocessing.arrays(run.inputs, found, history, each) for name, each in rows.items()}
    labels = {name: found.labels[each] for name, each in rows.items()}
    log.info("learning from %d transactions, %d frauds", len(windows.train), int(labels["train"].sum()))
    folder = run.folder.path / "challenger"
    shutil.rmtree(folder, ignore_errors=True)
    challenger = go_on(run, arrays, labels, found, windows, folder)
    scores = {
        "champion": run.newest.scores(arrays["comparison"]),
        "challenger": challenger.scores(arrays["comparison"]),
    }
    result = compare(scores, labels["comparison"], found, windows, resamples=run.settings.resamples, seed=seed)
    better = result["difference"]["low"] > 0
    result |= {**verdicts, "outcome": PROMOTED if better else REFUSED}
    files.write_json(folder / RESULT, result)
    model.save(challenger, folder)
    if better:
        learned = np.concatenate([windows.train, windows.calibration])
        loaded_run.add_learned(run.folder.path, found.row_hashes()[learned], into=folder)
        promote(run, folder)
    else:
        run.folder.replace_files({RESULT: folder / RESULT})
    return {**result, "exit_code": 0 if better else errors.GateError.exit_code}


def cut(found: Transactions, settings: config.Config, *, seen: npt.NDArray[np.bool_] | None = None) -> Windows:
    """Cut the labelled rows: the newest ``test_days`` compare, ``train_days`` a label delay before them train.

    Args:
        found: The transactions.
        settings: Of the run.
        seen: (n,) those that the champion has learned from in an update; none of them compares.

    Raises:
        errors.InputError: A window lacks frauds or genuine transactions, or the newest days are of one payer.
    """
    known = np.flatnonzero(found.labels != UNKNOWN)
    if not len(known):
        raise errors.InputError(f"{found.name}: expected labelled transactions. Received: none")
    days = found.days[known]
    if settings.protocol == "chronological" or days[-1] - days[0] < settings.train_days + settings.test_days:
        cuts = np.quantile(np.arange(len(known)), [0.6, 0.8]).astype(int)
        parts = np.split(known, cuts)
    else:
        newest = days > days[-1] - settings.test_days
        end = days[-1] - settings.test_days - folds.delay_days(found)
        learnt = (days <= end) & (days > end - settings.train_days)
        share = round(learnt.sum() * (1 - CALIBRATION_SHARE))
        rows = known[learnt]
        parts = [rows[:share], rows[share:], known[newest]]
    fresh = parts[2] if seen is None else parts[2][~seen[parts[2]]]
    windows = Windows(train=parts[0], calibration=parts[1], comparison=fresh)
    for name, rows in dataclasses.asdict(windows).items():
        frauds = int((found.labels[rows] == 1).sum())
        if frauds in (0, len(rows)):
            raise errors.InputError(
                f"{found.name}: expected frauds and genuine transactions in the {name} window of the update. "
                f"Received: {frauds} frauds in {len(rows)} transactions"
            )
    if len(np.unique(found.payers[windows.comparison])) < 2:
        raise errors.InputError(
            f"{found.name}: expected transactions of two payers or more in the comparison window of the update, for an "
            f"interval. Received: those of one"
        )
    return windows


def go_on(
    run: loaded_run.Run,
    arrays: Mapping[str, Mapping[str, npt.NDArray[Any]]],
    labels: Mapping[str, npt.NDArray[np.int64]],
    found: Transactions,
    windows: Windows,
    folder: pathlib.Path,
) -> model.Scorer:
    """Train the champion's networks further, and average, calibrate and threshold them anew.

    Anomaly detectors stay as they are: they learn from genuine transactions only.
    """
    networks = {}
    for name in model.networks(run.settings, run.inputs):
        network = train.uncompiled(run.newest.model.get_layer(model.layer_name(name)))
        if config.kind(name) not in label_free.DETECTORS:
            network = _further(name, network, run, arrays, labels, folder / "training" / name)
        networks[name] = network
    logits = {
        name: model.predict(network, {each: arrays["calibration"][each] for each in model.reads(name, run.inputs)})
        for name, network in networks.items()
    }
    averaged = model.average(
        run.inputs,
        networks,
        train.fit_ensemble_weights(logits, labels["calibration"], evenly=model.few_labels(run.inputs)),
    )
    return train.calibrate(
        averaged,
        arrays["calibration"],
        labels["calibration"],
        found,
        windows.calibration,
        found=run.inputs,
        settings=run.settings,
    )


def _further(
    name: str,
    network: keras.Model,
    run: loaded_run.Run,
    arrays: Mapping[str, Mapping[str, npt.NDArray[Any]]],
    labels: Mapping[str, npt.NDArray[np.int64]],
    folder: pathlib.Path,
) -> keras.Model:
    names = model.reads(name, run.inputs)
    examples = {part: jobs.as_arrays(arrays[part], names, labels[part]) for part in ("train", "calibration")}
    settings = jobs.fit_settings(name, run.settings, rows=len(examples["train"]))
    fitting.fit(
        network,
        dataclasses.replace(examples["train"], weights=jobs.weights(labels["train"], run.settings)),
        examples["calibration"],
        settings=dataclasses.replace(settings, learning_rate=settings.learning_rate * STEP_SHARE),
        loss=losses.by_name(typing.cast(losses.LossName, run.settings.loss), classes=model.CLASSES),
        monitor=calibration.calibrated_log_likelihood,
        outputs=fitting.Outputs(
            checkpoints=folder, history=folder / "history.csv", logs=folder / "logs", is_log_loss=True
        ),
    )
    return train.uncompiled(network)


def compare(
    scores: Mapping[str, npt.NDArray[np.float64]],
    labels: npt.NDArray[np.int64],
    found: Transactions,
    windows: Windows,
    *,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Return average precision of both with intervals by card, and that of the difference, challenger less champion."""
    challenger, champion = scores["challenger"], scores["champion"]
    metric = classification.average_precision
    cases = {
        "champion": bootstrap.Case(metric, champion),
        "challenger": bootstrap.Case(metric, challenger),
        "difference": bootstrap.Case(metric, challenger, champion),
    }
    measured = bootstrap.intervals_of(
        cases, labels, units=found.payers[windows.comparison], resamples=resamples, seed=seed
    )
    if len(measured) < len(cases):
        raise errors.InputError(
            f"{found.name}: expected enough frauds in the comparison window of the update for an interval. Received: "
            f"{measured.notes[0]}"
        )
    days = [folds.day_name(int(found.days[row]), calendar=found.calendar) for row in windows.comparison[[0, -1]]]
    return {
        "metric": "average_precision",
        "judged": {"first_day": days[0], "last_day": days[1], "n": len(labels), "frauds": int(labels.sum())},
        **{name: measured[name].to_json() for name in cases},
    }


def promote(run: loaded_run.Run, challenger: pathlib.Path) -> None:
    """Put the challenger in the champion's place; the champion and its figures are kept in ``champions/<number>``."""
    champions = run.folder.path / loaded_run.CHAMPIONS
    number = 1 + max((int(each.name) for each in model.numbered(champions)), default=0)
    model.save(run.newest, champions / str(number))
    if run.folder.evaluation.is_dir():
        # Before the weights: no figure of a model stands beside those of another, also after a kill between the two.
        run.folder.evaluation.replace(champions / str(number) / run.folder.evaluation.name)
    names = ("model.keras", inputs.FILE, "decision.json", loaded_run.LEARNED, RESULT)
    run.folder.replace_files({name: challenger / name for name in names})
    log.info("the champion before is kept in %s", champions / str(number))
