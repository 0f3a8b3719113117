"""The verb ``evaluate``: which images, what the model and the baseline find in them, results and report written."""

import logging
import pathlib
import time
from typing import Any

import numpy as np
import pandas as pd
import psutil

from apps.driving_perception import baselines, evaluate, frames, lane, partition, report
from apps.driving_perception import run as loaded_run
from shared import splits
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
    fitted = baselines.fit(own, split.rows("train"), seed=run.settings.seed)
    results = evaluate.evaluate(
        evaluate.Rows(frames=part.dataset.take(part.rows), units=part.units[part.rows]),
        sections.Data(
            source=part.dataset.name,
            split=part.name,
            unit=part.certificate.get("unit", partition.UNIT_NAME),
            sha256=part.dataset.sha256,
            synthetic=part.dataset.synthetic,
            certificate=part.certificate,
            notes=tuple(dict.fromkeys((*part.dataset.notes, *part.certificate.get("checks", {}).get("notes", ())))),
        ),
        evaluate.Predictions(
            run=run.folder.path.name,
            rule=run.rule,
            found=found,
            details=details(run),
            history=pd.read_csv(run.folder.history),
            speed=_speed(run, part),
        ),
        region=lane.Region.of(run.settings),
        baselines={name: each.predict(part.dataset, part.rows) for name, each in fitted.items()},
        resamples=run.settings.resamples,
        seed=seed,
    )
    evaluation = report.evaluation(results)
    evaluation.write(output, run.folder)
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
