"""The verb ``evaluate``: which images, what the model and the baseline find in them, results and report written."""

import dataclasses
import logging
import pathlib
import time
from typing import Any

import numpy as np
import pandas as pd
import psutil

from apps.driving_perception import (
    baselines,
    coco_metrics,
    data,
    decision,
    evaluate,
    frames,
    lane,
    partition,
    report,
)
from apps.driving_perception import boxes as box
from apps.driving_perception import run as loaded_run
from shared import given_predictions, splits
from shared.evaluation import other_models
from shared.report import document, sections

log = logging.getLogger("fieldnets")
TIMED_IMAGES = 60


def evaluate_run(
    run: loaded_run.Run,
    own: frames.Frames,
    split: splits.Split,
    part: loaded_run.Part,
    *,
    seed: int,
    output: pathlib.Path,
) -> document.Evaluation:
    """Evaluate a run and write ``metrics.json``, ``report.html`` and ``predictions.parquet``.

    Args:
        run: The finished run.
        own: The run's own images: the baselines are fitted on the very part that the model was.
        split: Their split.
        part: The images to evaluate.
        seed: Of the bootstrap and the baselines.
        output: Folder for the three files.
    """
    log.info("predicting boxes in %d images (%s)", len(part.rows), part.name)
    found = run.detect(part.dataset, part.rows)
    log.info("fitting the baseline on the run's own training part")
    results = evaluate.evaluate(
        evaluate.Rows(frames=part.dataset.take(part.rows), units=part.units[part.rows]),
        _data(part),
        evaluate.Predictions(
            run=run.folder.path.name,
            rule=run.rule,
            found=found,
            details=details(run),
            history=pd.read_csv(run.folder.history),
            speed=_speed(run, part),
        ),
        region=lane.Region.of(run.settings),
        baselines=_baselines(run, own, split, part),
        resamples=run.settings.resamples,
        seed=seed,
    )
    evaluation = report.evaluation(results)
    evaluation.write(output, run.folder)
    return evaluation


def _data(part: loaded_run.Part) -> sections.Data:
    images, certificate = part.dataset, part.certificate
    return sections.Data(
        source=images.name,
        split=part.name,
        unit=certificate.get("unit", partition.UNIT_NAME),
        sha256=images.sha256,
        synthetic=images.synthetic,
        certificate=certificate,
        notes=tuple(dict.fromkeys((*images.notes, *certificate.get("checks", {}).get("notes", ())))),
    )


def _baselines(
    run: loaded_run.Run, own: frames.Frames, split: splits.Split, part: loaded_run.Part
) -> dict[str, box.Detections]:
    fitted = baselines.fit(own, split.rows("train"), seed=run.settings.seed)
    return {name: each.predict(part.dataset, part.rows) for name, each in fitted.items()}


def rows_to_score(
    run: loaded_run.Run, own: frames.Frames, split: splits.Split, part: loaded_run.Part
) -> given_predictions.Rows:
    """Return the images in which another detector must look, named as `data` names them and numbered from 1."""
    del run
    table = data.frame(own, split)[["id", "width", "height"]]
    return given_predictions.Rows(
        table=table.assign(image_id=np.arange(1, len(table) + 1)),
        identity=("image_id",),
        parts={"validation": split.rows("validation"), part.name: part.rows},
        class_names=own.class_names,
    )


def evaluate_given(
    run: loaded_run.Run,
    own: frames.Frames,
    split: splits.Split,
    part: loaded_run.Part,
    given: other_models.Predictions,
    *,
    seed: int,
    output: pathlib.Path,
) -> document.Evaluation:
    """Evaluate another detector's boxes beside the run's; arguments as of `evaluate_run`."""
    held_out = own.take(split.rows("validation"))
    rule = decision.fit(
        coco_metrics.match_frames(held_out, given.scores["validation"]),
        rule=run.settings.threshold_rule,
        fppi_budget=run.settings.fppi_budget,
        fitted_on={"split": "validation", "n": len(held_out), "data_sha256": own.sha256},
    )
    found = _data(part)
    results = evaluate.evaluate(
        evaluate.Rows(frames=part.dataset.take(part.rows), units=part.units[part.rows]),
        dataclasses.replace(found, notes=(*found.notes, *given.notes)),
        evaluate.Predictions(
            run=given.beside(run.folder.path.name),
            rule=rule,
            found=given.scores[part.name],
            details={"Predictions": f"read from a file: {given.name}"},
            history=pd.DataFrame(),
        ),
        region=lane.Region.of(run.settings),
        baselines={
            other_models.OWN_MODEL: run.detect(part.dataset, part.rows),
            **_baselines(run, own, split, part),
        },
        resamples=run.settings.resamples,
        seed=seed,
    )
    evaluation = report.evaluation(results)
    evaluation.write(output, None)
    return evaluation


def details(run: loaded_run.Run) -> dict[str, Any]:
    """Return what the model is."""
    settings = run.settings
    return {
        "Network": f"{settings.backbone} with pyramid and anchor-free head",
        "Started from": "published weights" if settings.fine_tunes else "nothing",
        "Parameters": run.model.count_params(),
        "Pixels seen": f"as many as a square of {settings.image_size}",
        "Seed": settings.seed,
    }


def _speed(run: loaded_run.Run, part: loaded_run.Part) -> dict[str, Any]:
    """Time predictions one image at a time, from the file to the decision."""
    rows = part.rows[:TIMED_IMAGES]
    content = [frames.as_file(part.dataset.images.read(int(row))) for row in rows]
    # Canvases of new shapes are traced at their first sight; that is no part of the work.
    for each in content:
        run.predict([each])
    seconds = []
    for each in content:
        started = time.perf_counter()
        run.predict([each])
        seconds.append(time.perf_counter() - started)
    p50, p95, p99 = np.quantile(seconds, [0.5, 0.95, 0.99]) * 1000
    return {
        "images timed": len(rows),
        "images per second": round(len(rows) / sum(seconds), 1),
        "p50, ms": round(float(p50), 1),
        "p95, ms": round(float(p95), 1),
        "p99, ms": round(float(p99), 1),
        "memory of the process, MiB": round(psutil.Process().memory_info().rss / 2**20),
        "processor cores": len(psutil.Process().cpu_affinity()),
    }
