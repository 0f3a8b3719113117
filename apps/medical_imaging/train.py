"""From images and their split to a run folder: decode, train, calibrate, freeze the decision."""

import dataclasses
import logging
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn import metrics, model_selection

from apps.medical_imaging import augmentation, config, dataset, model, preprocessing
from apps.medical_imaging import decision as rules
from shared import files, splits
from shared.evaluation import calibration
from shared.models import efficientnet
from shared.training import datasets
from shared.training import fit as fitting
from shared.training import phases as shared_phases

log = logging.getLogger("fieldnets")
Labels: TypeAlias = npt.NDArray[np.float32]
# The head of the transfer network starts from nothing and may learn faster than what is pretrained.
HEAD_SPEED = 6.0
# The first stages of EfficientNet-Lite0 stay as they are, of other networks a part (``shared.training.phases``): they
# take half of the training's time.
FROZEN_STAGES = 5


def train(
    radiographs: dataset.Radiographs, split: splits.Split, settings: config.Config, folder: files.RunFolder
) -> dict[str, Any]:
    """Train on the parts of ``split``, within what ``shared.verbs.train_into`` does the same for all apps.

    Returns:
        What the command line prints: run folder, validation metrics, cross-validation if asked for.
    """
    preprocessing.write_grey_bits(folder, radiographs.images.grey_bits)
    parts = {name: arrays(radiographs, split.rows(name), settings) for name in ("train", "validation")}
    folds = cross_validate(parts["train"], split.unit[split.rows("train")], radiographs.task, settings, folder)
    networks = fit_networks(parts["train"], parts["validation"], radiographs.task, settings, folder)
    trained = model.assemble(networks, settings)
    logits = fitting.predict(trained, parts["validation"], batch_size=model.EVALUATION_ROWS)
    decision = rules.fit(
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


def arrays(radiographs: dataset.Radiographs, rows: npt.NDArray[np.int64], settings: config.Config) -> datasets.Arrays:
    """Decode some rows."""
    return datasets.Arrays(
        inputs={"image": preprocessing.load_rows(radiographs, rows, settings)}, labels=radiographs.labels[rows]
    )


def fit_networks(
    train_part: datasets.Arrays,
    validation_part: datasets.Arrays,
    task: str,
    settings: config.Config,
    folder: files.RunFolder,
) -> list[keras.Model]:
    """Train ``settings.networks`` networks, each from its own seed and in a folder of its own but the first.

    Networks that differ in their head and in the order and the variation of the images err on other images: their
    average is better, and more so on images unlike the training part's (Lakshminarayanan et al. 2017, "Deep
    ensembles", https://arxiv.org/abs/1612.01474).
    """
    networks, histories = [], []
    for number in range(1, settings.networks + 1):
        own = dataclasses.replace(settings, seed=fitting.seed_of_copy(settings.seed, number))
        inner = folder if number == 1 else files.RunFolder(folder.path / "networks" / str(number))
        networks.append(fit_network(train_part, validation_part, task, own, inner))
        histories.append(pd.read_csv(inner.history).assign(network=number))
    joined = pd.concat(histories)
    files.write_text(folder.history, joined[["network", *joined.columns.drop("network")]].to_csv(index=False))
    return networks


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
    network = model.build(settings, classes=train_part.labels.shape[1])
    histories = {}
    for name, phase in phases(settings).items():
        if settings.model == "transfer":
            freeze(network, settings, head_only=phase.head_only)
        result = fitting.fit(
            network,
            train_part,
            validation_part,
            settings=shared_phases.fit_settings(
                settings, phase, gradient_clip_norm=1.0, evaluation_batch_size=model.EVALUATION_ROWS
            ),
            loss=model.build_loss(settings, task=task, labels=train_part.labels),
            monitor=monitor(task),
            outputs=shared_phases.outputs(folder, name, is_log_loss=True),
        )
        log.info(
            "%s: calibrated log-loss %.4f in epoch %d, %.0f s",
            name,
            -result.best_value,
            result.best_epoch,
            result.seconds,
        )
        histories[name] = result.history
    shared_phases.write_history(folder, histories)
    return network


def phases(settings: config.Config) -> dict[str, shared_phases.Phase]:
    """Return the parts of the training in their order: the head alone where the rest is pretrained, the network."""
    return shared_phases.plan(
        epochs=settings.epochs,
        frozen_epochs=settings.frozen_epochs if settings.model == "transfer" else 0,
        learning_rate=settings.learning_rate,
        head_speed=HEAD_SPEED,
    )


def freeze(network: keras.Model, settings: config.Config, *, head_only: bool) -> None:
    """Let the head alone learn, or all but the first layers; without published weights there is nothing to keep."""
    keep_first = settings.pretrained
    if settings.backbone == config.LITE:
        stages = len(efficientnet.STAGES) if head_only else FROZEN_STAGES if keep_first else 0
        efficientnet.freeze(network, stages=stages)
        return
    shared_phases.freeze(network.get_layer(model.BACKBONE_LAYER).layers, head_only=head_only, pretrained=keep_first)


def monitor(task: str) -> fitting.Monitor:
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
        logits = fitting.predict(network, part.take(held_out), batch_size=model.EVALUATION_ROWS)
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
