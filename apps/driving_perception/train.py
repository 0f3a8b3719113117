"""From images and their split to a run folder: train a detector, freeze the threshold."""

import logging
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from apps.driving_perception import boxes as box
from apps.driving_perception import (
    coco_metrics,
    config,
    decision,
    frames,
    losses,
    model,
    predictions,
    preprocessing,
    training_images,
)
from shared import errors, files, splits
from shared.models import efficientnet
from shared.training import fit as fitting
from shared.training import phases

log = logging.getLogger("fieldnets")
EVALUATION_ROWS = 16
# What is new starts from nothing and may learn faster than what is pretrained.
HEAD_SPEED = 2.0


def train(
    collection: frames.Frames, split: splits.Split, settings: config.Config, folder: files.RunFolder
) -> dict[str, Any]:
    """Train on the parts of ``split``, within what ``shared.verbs.train_into`` does the same for all apps.

    Returns:
        What the command line prints: run folder and validation metrics.
    """
    require_objects(collection, split)
    network = fit_network(collection, split, settings, folder)
    found, rule = freeze_decision(network, collection, split.rows("validation"), settings)
    with files.atomic(folder.model) as temporary:
        network.save(temporary)
    files.write_json(folder.decision, rule.to_json())
    return {
        "run_dir": str(folder.path),
        "validation": found,
        "next": f"driving-perception evaluate --run-dir {folder.path}",
    }


def require_objects(collection: frames.Frames, split: splits.Split) -> None:
    """Refuse parts that nothing can be learned from or chosen on, before any training.

    Raises:
        errors.InputError: No image of the training or of the validation part has an obstacle.
    """
    for part, purpose in (("train", "learn from"), ("validation", "choose the threshold on")):
        rows = split.rows(part)
        if not (collection.boxes.of_images(rows).kind == box.OBJECT).any():
            raise errors.InputError(
                f"{collection.name}: expected labelled obstacles in the {part} part, to {purpose}. Received: none in "
                f"its {len(rows):,} images; give more data, or another share (--validation-fraction, --split-file)"
            )


def fit_network(
    collection: frames.Frames, split: splits.Split, settings: config.Config, folder: files.RunFolder
) -> keras.Model:
    """Train the network, phase by phase, and return it with its best weights."""
    learned = training_images.training(collection, split.rows("train"), settings)
    compared, geometry = training_images.validation(collection, split.rows("validation"), settings)
    keras.utils.set_random_seed(settings.seed)
    network = model.build(settings, classes=len(collection.class_names))
    histories = {}
    for name, phase in planned_phases(settings, images=len(learned)).items():
        freeze(network, settings, backbone=phase.head_only)
        result = fitting.fit(
            network,
            learned,
            compared,
            settings=phases.fit_settings(
                settings, phase, gradient_clip_norm=10.0, evaluation_batch_size=EVALUATION_ROWS
            ),
            loss=losses.DetectionLoss(box_weight=settings.box_weight, assigned_places=settings.assigned_places),
            monitor=monitor(geometry, settings, collection.class_names),
            outputs=phases.outputs(folder, name),
        )
        log.info("%s: map_50 %.4f in epoch %d, %.0f s", name, result.best_value, result.best_epoch, result.seconds)
        histories[name] = result.history
    phases.write_history(folder, histories)
    return network


def planned_phases(settings: config.Config, *, images: int) -> dict[str, phases.Phase]:
    """Return the parts of the training in their order: what is new alone where the rest is pretrained, then all."""
    return phases.plan(
        epochs=settings.epochs_for(images),
        frozen_epochs=settings.frozen_epochs if settings.fine_tunes else 0,
        learning_rate=settings.learning_rate,
        head_speed=HEAD_SPEED,
    )


def freeze(network: keras.Model, settings: config.Config, *, backbone: bool) -> None:
    """Let all but the first stages of a pretrained backbone learn, or none of it; compile afterwards."""
    if settings.is_preset:
        layers = network.get_layer(model.NESTED).layers
        phases.freeze(layers, head_only=backbone, pretrained=settings.pretrained)
    elif settings.fine_tunes:
        stages = len(efficientnet.STAGES) if backbone else settings.frozen_stages
        efficientnet.freeze(network, stages=stages, normalization=True)


def monitor(geometry: npt.NDArray[np.int64], settings: config.Config, class_names: tuple[str, ...]) -> fitting.Monitor:
    """Return what epochs are compared by: mean average precision at an overlap of 0.5 on the validation canvases."""

    def map_50(rows: losses.TargetRows, places: npt.NDArray[np.float32]) -> float:
        found = []
        for start in range(0, len(places), predictions.ROWS_AT_ONCE):
            part = slice(start, start + predictions.ROWS_AT_ONCE)
            sizes = geometry[part, preprocessing.FILLED].astype(np.float32)
            found.append(
                predictions.boxes(
                    places[part], sizes, most=settings.most_detections, overlap=settings.suppression_overlap
                )
            )
        seen = predictions.flat(found)
        return coco_metrics.map_50(
            coco_metrics.match(losses.boxes_of_rows(rows), seen, images=len(rows), class_names=class_names)
        )

    return map_50


def freeze_decision(
    network: keras.Model, collection: frames.Frames, rows: npt.NDArray[np.int64], settings: config.Config
) -> tuple[dict[str, Any], decision.DecisionRule]:
    """Choose the threshold on validation; return what it gives there, and the decision."""
    part = collection.take(rows)
    found = predictions.detect(network, settings, collection, rows)
    matched = coco_metrics.match_frames(part, found)
    rule = decision.fit(
        matched,
        rule=settings.threshold_rule,
        fppi_budget=settings.fppi_budget,
        fitted_on={"split": "validation", "n": len(part), "data_sha256": collection.sha256},
    )
    numbers = coco_metrics.summary(matched)
    told = {name: numbers[name] for name in ("map_50", "map") if np.isfinite(numbers[name])}
    return {**told, "recall": rule.recall, "precision": rule.precision, "n": len(part)}, rule
