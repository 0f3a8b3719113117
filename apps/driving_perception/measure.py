"""From a finished run and labelled images to what ``evaluate`` judges: parts, detections, baselines, speed."""

import dataclasses
import logging
import pathlib
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import psutil

from apps.driving_perception import baselines, config, data, evaluate, frames, lane, partition, prepare, scoring
from apps.driving_perception.judgement import evidence
from shared import errors, files, splits
from shared.report import document

log = logging.getLogger("fieldnets")
TIMED_IMAGES = 60


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """Which images to judge.

    Attributes:
        frames: The images they are part of.
        units: (n,) split unit of each image.
        rows: Row numbers of the part judged.
        part: Its name.
        certificate: The run's split certificate; empty for other data.
    """

    frames: frames.Frames
    units: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    part: str
    certificate: Mapping[str, Any]


def measure(
    run: scoring.Run, own: frames.Frames, split: splits.Split, task: Task, *, seed: int, output: pathlib.Path
) -> evaluate.Evaluation:
    """Judge a run and write ``metrics.json``, ``report.html`` and ``predictions.parquet``.

    Args:
        run: The finished run.
        own: The run's own images: the baselines are fitted on the very part that the model was.
        split: Their split.
        task: The images to judge.
        seed: Of the bootstrap and the baselines.
        output: Folder for the three files.
    """
    log.info("looking at %d images (%s)", len(task.rows), task.part)
    found = run.detect(task.frames, task.rows)
    log.info("fitting the baseline on the run's own training part")
    fitted = baselines.fit(own, split.rows("train"), seed=run.settings.seed)
    result = evaluate.evaluate(
        evidence.Rows(frames=task.frames.take(task.rows), units=task.units[task.rows]),
        about(task),
        evidence.Run(
            name=run.folder.path.name,
            operating=run.operating,
            found=found,
            details=details(run),
            history=pd.read_csv(run.folder.history),
            speed=speed(run, task),
        ),
        region=lane.Region.of(run.settings),
        baselines={name: each.predict(task.frames, task.rows) for name, each in fitted.items()},
        resamples=run.settings.resamples,
        seed=seed,
    )
    document.write(result.report, output)
    with files.atomic(output / "predictions.parquet") as temporary:
        result.predictions.to_parquet(temporary, index=False)
    return result


def about(task: Task) -> evidence.Data:
    """Return what the images are."""
    return evidence.Data(
        source=task.frames.name,
        split=task.part,
        unit=task.certificate.get("unit", partition.UNIT_NAME),
        certificate=task.certificate,
        notes=tuple(dict.fromkeys((*task.frames.notes, *task.certificate.get("checks", {}).get("notes", ())))),
    )


def details(run: scoring.Run) -> dict[str, Any]:
    """Return what the model is."""
    settings = run.settings
    return {
        "Network": f"{settings.backbone} with pyramid and anchor-free head",
        "Started from": "published weights" if settings.fine_tunes else "nothing",
        "Parameters": run.model.count_params(),
        "Pixels seen": f"as many as a square of {settings.image_size}",
        "Seed": settings.seed,
    }


def speed(run: scoring.Run, task: Task) -> dict[str, Any]:
    """Time answers one image at a time, from the file to the decision."""
    rows = task.rows[:TIMED_IMAGES]
    content = [scoring.as_file(task.frames.images.read(int(row))) for row in rows]
    # Canvases of new shapes are traced at their first sight; that is no part of the work.
    for each in content:
        run.say([each])
    seconds = []
    for each in content:
        started = time.perf_counter()
        run.say([each])
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


def own_data(run: scoring.Run) -> tuple[frames.Frames, splits.Split]:
    """Read the run's source again and split it again, and check that both are what the certificate says.

    Raises:
        errors.GateError: The source has changed since the run.
    """
    collection = prepare.load_source(run.settings, class_names=run.operating.class_names)
    split, _ = prepare.split_source(collection, run.settings)
    hashes = data.content_hashes(collection)
    splits.require_same(files.read_json(run.folder.split), split, content_hashes=hashes)
    return collection, split


def own_task(run: scoring.Run, collection: frames.Frames, split: splits.Split, part: str) -> Task:
    """Judge a part of the run's own data."""
    rows = np.arange(len(collection)) if part == "all" else split.rows(part)
    certificate = files.read_json(run.folder.split)
    if not len(rows):
        there = ", ".join(name for name in splits.PARTS if len(split.rows(name)))
        raise errors.InputError(
            f"--split {part}: expected a part with images: {there} (or --data with others). Received: an empty one"
        )
    return Task(frames=collection, units=split.unit, rows=rows, part=part, certificate=certificate)


def other_task(
    run: scoring.Run,
    own: frames.Frames,
    split: splits.Split,
    settings: config.Config,
    part: str,
    *,
    quarantine: pathlib.Path,
) -> Task:
    """Judge data that are not the run's own: whole, or by their official part.

    Images that the model was trained on are left out and counted in a note: it has seen their labels.

    Raises:
        errors.InputError: The part was named and the data have no such official part, or no unseen image is left.
    """
    others = prepare.load_source(settings, class_names=run.operating.class_names, quarantine=quarantine)
    wanted = np.ones(len(others), bool) if part == "all" else others.fixed_parts == part
    if not wanted.any():
        raise errors.InputError(
            f"--split {part}: expected a source with an official {part} part, or --split all. Received: {others.name}"
        )
    seen = wanted & np.isin(data.content_hashes(others), data.content_hashes(own)[split.rows("train")])
    if (seen == wanted).all():
        raise errors.InputError(f"{others.name}: expected images that this run was not trained on. Received: none")
    if seen.any():
        note = f"{int(seen.sum())} images are left out: this run was trained on them"
        others = dataclasses.replace(others, notes=(*others.notes, note))
    alike = partition.near(others, settings.near_duplicate_distance)
    units = partition.units(others, alike, block_frames=settings.block_frames)
    return Task(frames=others, units=units, rows=np.flatnonzero(wanted & ~seen), part=part, certificate={})
