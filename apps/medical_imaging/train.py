"""From a source to a run folder: read, split by patient, decode, train, calibrate, freeze the decision."""

import dataclasses
import json
import logging
from collections.abc import Mapping
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn import metrics, model_selection

from apps.medical_imaging import answers, augmentation, backbones, config, data, model, pixels, prepare
from shared import datasets, files, runtime, training
from shared.evaluation import calibration

log = logging.getLogger("fieldnets")
Labels: TypeAlias = npt.NDArray[np.float32]


def train(settings: config.Config, folder: files.RunFolder) -> dict[str, Any]:
    """Train as ``settings`` say; called again on an interrupted run, go on and end with the same weights.

    Returns:
        What the command line prints: run folder, validation metrics, cross-validation if asked for.
    """
    files.write_json(folder.config, settings.to_json())
    runtime.configure(seed=settings.seed, deterministic=settings.deterministic, precision=settings.precision)
    radiographs = prepare.load_source(settings, quarantine=folder.path / "quarantine.csv")
    log.info("%s", data.describe(radiographs))
    split, certificate = prepare.split_source(radiographs, settings)
    files.write_json(folder.split, certificate)
    log.info("split: %s", json.dumps(certificate["counts"]))

    parts = {name: arrays(radiographs, split.rows(name), settings) for name in ("train", "validation")}
    with runtime.strategy(settings.strategy).scope():
        files.write_json(folder.environment, runtime.describe(seed=settings.seed))
        folds = cross_validate(parts["train"], split.unit[split.rows("train")], radiographs.task, settings, folder)
        network = fit_network(parts["train"], parts["validation"], radiographs.task, settings, folder)
        trained = model.assemble(network, settings)

    logits = training.predict(trained, parts["validation"], batch_size=model.EVALUATION_ROWS)
    decision = answers.fit(
        logits,
        parts["validation"].labels,
        task=radiographs.task,
        class_names=radiographs.class_names,
        rule=settings.threshold_rule,
        alpha=settings.alpha,
        fitted_on={"split": "validation", "n": len(logits), "data_sha256": radiographs.sha256},
    )
    with files.atomic(folder.model) as temporary:
        trained.save(temporary)
    files.write_json(folder.decision, decision.to_json())
    return {
        "run_dir": str(folder.path),
        "validation": {"auroc": mean_auroc(parts["validation"].labels, logits), "n": len(logits)},
        **folds,
        "next": f"medical-imaging evaluate --run-dir {folder.path}",
    }


def arrays(radiographs: data.Radiographs, rows: npt.NDArray[np.int64], settings: config.Config) -> datasets.Arrays:
    """Decode some rows."""
    return datasets.Arrays(inputs={"image": pixels.load(radiographs, rows, settings)}, labels=radiographs.labels[rows])


def fit_network(
    train_part: datasets.Arrays,
    validation_part: datasets.Arrays,
    task: str,
    settings: config.Config,
    folder: files.RunFolder,
) -> keras.Model:
    """Train one network, phase by phase, and return it with its best weights."""
    keras.utils.set_random_seed(settings.seed)
    train_part = dataclasses.replace(
        train_part,
        weights=model.row_weights(settings, labels=train_part.labels),
        augment=augmentation.build(settings),
    )
    loss = model.build_loss(settings, task=task, labels=train_part.labels)
    network = model.build(settings, classes=train_part.labels.shape[1])
    histories = {}
    for phase in model.phases(settings):
        start, ends = network.get_weights(), []
        if settings.model == "transfer":
            backbones.freeze(network, settings, head_only=phase.head_only)
        for name, seed in phase.tries.items():
            network.set_weights(start)
            keras.utils.set_random_seed(seed)
            result = training.fit(
                network,
                train_part,
                validation_part,
                settings=model.fit_settings(settings, phase, seed=seed),
                loss=loss,
                monitor=monitor(task),
                outputs=outputs(folder, name),
            )
            log.info("%s: %s", name, describe(result))
            histories[name] = result.history
            ends.append(network.get_weights())
        network.set_weights([np.mean(weights, axis=0) for weights in zip(*ends, strict=True)])
    write_history(folder, histories)
    return network


def outputs(folder: files.RunFolder, name: str) -> training.Outputs:
    """Return where one fit leaves its traces."""
    checkpoints = folder.checkpoints / name
    return training.Outputs(checkpoints=checkpoints, history=checkpoints / "history.csv", logs=folder.logs / name)


def describe(result: training.FitResult) -> str:
    """Say what a fit came to."""
    return f"calibrated log-loss {-result.best_value:.4f} in epoch {result.best_epoch}, {result.seconds:.0f} s"


def write_history(folder: files.RunFolder, histories: Mapping[str, list[dict[str, float]]]) -> None:
    """Join the fits' histories into one table with a column ``phase``."""
    joined = pd.concat([pd.DataFrame(rows).assign(phase=name) for name, rows in histories.items()])
    columns = ["phase", *joined.columns.drop("phase")]
    files.write_text(folder.history, joined[columns].to_csv(index=False))


def monitor(task: str) -> training.Monitor:
    """Return what epochs are compared by: the likelihood of the labels after calibration."""

    def one_label(labels: Labels, logits: Labels) -> float:
        return calibration.calibrated_log_likelihood(labels.argmax(axis=1), logits)

    def several(labels: Labels, logits: Labels) -> float:
        return float(np.mean([_finding_likelihood(labels[:, i], logits[:, i]) for i in range(labels.shape[1])]))

    return one_label if task == "single_label" else several


def _finding_likelihood(label: Labels, logit: Labels) -> float:
    known = ~np.isnan(label)
    if not known.any():
        return 0.0
    two = np.stack([-logit[known] / 2, logit[known] / 2], axis=1)
    return calibration.calibrated_log_likelihood(label[known], two)


def cross_validate(
    part: datasets.Arrays,
    units: npt.NDArray[np.int64],
    task: str,
    settings: config.Config,
    folder: files.RunFolder,
) -> dict[str, Any]:
    """Train on all but one fold of the training part's patients in turn; nothing where ``settings.folds`` is 0.

    Returns:
        ``cross_validation``: AUROC of each fold, their mean and standard deviation.
    """
    if not settings.folds:
        return {}
    labels = part.labels
    key = labels.argmax(axis=1) if task == "single_label" else np.nan_to_num(labels).sum(axis=1).astype(np.int64)
    aurocs = []
    folds = model_selection.StratifiedGroupKFold(settings.folds, shuffle=True, random_state=settings.seed)
    for number, (kept, held_out) in enumerate(folds.split(key, key, groups=units), start=1):
        inner = files.RunFolder(folder.path / "folds" / str(number))
        network = fit_network(part.take(kept), part.take(held_out), task, settings, inner)
        logits = training.predict(network, part.take(held_out), batch_size=model.EVALUATION_ROWS)
        aurocs.append(mean_auroc(labels[held_out], logits))
        log.info("fold %d of %d: AUROC %.4f", number, settings.folds, aurocs[-1])
    summary = {"auroc": aurocs, "mean": float(np.mean(aurocs)), "standard_deviation": float(np.std(aurocs, ddof=1))}
    files.write_json(folder.path / "cross_validation.json", summary)
    return {"cross_validation": summary}


def mean_auroc(labels: Labels, logits: Labels) -> float:
    """Return the mean over classes of the area under the ROC curve; a class that is all or nothing counts nowhere.

    Args:
        labels: (n, k) in {0, 1} or NaN, which counts nowhere either.
        logits: (n, k).
    """
    if labels.shape[1] == 2 and (labels.sum(axis=1) == 1).all():
        logits = logits[:, 1:] - logits[:, :1]
        labels = labels[:, 1:]
    areas = []
    for label, logit in zip(labels.T, logits.T, strict=True):
        known = ~np.isnan(label)
        if len(np.unique(label[known])) == 2:
            areas.append(metrics.roc_auc_score(label[known], logit[known]))
    return float(np.mean(areas)) if areas else float("nan")
