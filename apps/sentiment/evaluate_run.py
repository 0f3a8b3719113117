"""What the model and the baselines predict for a part of the data, and its evaluation written."""

import dataclasses
import logging
import pathlib

import numpy as np
import pandas as pd

from apps.sentiment import baselines, checklist, corpus, dataset, evaluate, report
from apps.sentiment import run as loaded_run
from shared import decision as decisions
from shared import given_predictions, splits
from shared.evaluation import other_models
from shared.report import document, sections
from shared.splits import parts

log = logging.getLogger("fieldnets")
NO_MODEL = "The texts of these tests were never scored: only predictions are at hand, not the model."

Part = parts.Part[dataset.Reviews]


def evaluate_part(
    run: loaded_run.Run, own: dataset.Reviews, split: splits.Split, part: Part, *, seed: int, output: pathlib.Path
) -> document.Evaluation:
    """Evaluate a run and write ``metrics.json``, ``report.html`` and ``predictions.parquet``.

    Args:
        run: The finished run.
        own: The run's own texts: the baselines are fitted on the very parts that the model was.
        split: Their split.
        part: The rows to evaluate.
        seed: Of the behaviour texts and the bootstrap.
        output: Folder for the three files.
    """
    log.info("evaluating %d texts (%s)", len(part.rows), part.name)
    texts = part.dataset.texts[part.rows]
    logits = run.logits(texts)
    run.decision.scores(logits)  # refuses a broken model before the baselines are fitted
    log.info("fitting the baselines on the run's own training part")
    results = evaluate.evaluate(
        _rows(run, part),
        _data(part, split.unit_name),
        evaluate.Predictions(
            run=run.folder.path.name,
            logits=logits,
            decision=run.decision,
            members=run.network_scores(texts) if len(run.settings.networks) > 1 else {},
            history=pd.read_csv(run.folder.history),
        ),
        baseline_scores=_baseline_scores(run, own, split, texts),
        behaviour_report=checklist.run(
            lambda strings: run.scores(np.array(strings, object)), run.decision.class_names, seed=seed
        ),
        resamples=run.settings.resamples,
        seed=seed,
    )
    evaluation = report.evaluation(results)
    evaluation.write(output, run.folder)
    return evaluation


def rows_to_score(run: loaded_run.Run, own: dataset.Reviews, split: splits.Split, part: Part) -> given_predictions.Rows:
    """Return the texts that another model must score, named by file and row."""
    return given_predictions.Rows(
        table=dataset.frame(own, split)[["file", "row", "text"]],
        identity=("file", "row"),
        parts={"validation": split.rows("validation"), part.name: part.rows},
        class_names=run.decision.class_names,
    )


def evaluate_given(
    run: loaded_run.Run,
    own: dataset.Reviews,
    split: splits.Split,
    part: Part,
    given: other_models.Predictions,
    *,
    seed: int,
    output: pathlib.Path,
) -> document.Evaluation:
    """Evaluate another model's predictions beside the run's; arguments as of `evaluate_part`."""
    texts, validation = part.dataset.texts[part.rows], split.rows("validation")
    rule = decisions.fit(
        given.logits("validation"),
        own.labels[validation],
        class_names=run.decision.class_names,
        alpha=run.settings.alpha,
        fitted_on={"split": "validation", "n": len(validation), "data_sha256": own.sha256},
    )
    results = evaluate.evaluate(
        _rows(run, part),
        dataclasses.replace(_data(part, split.unit_name), notes=(*part.dataset.notes, *given.notes)),
        evaluate.Predictions(run=given.beside(run.folder.path.name), logits=given.logits(part.name), decision=rule),
        baseline_scores={
            other_models.OWN_MODEL: run.scores(texts),
            **_baseline_scores(run, own, split, texts),
        },
        behaviour_report=checklist.BehaviourReport(notes=(NO_MODEL,)),
        resamples=run.settings.resamples,
        seed=seed,
    )
    evaluation = report.evaluation(results)
    evaluation.write(output, None)
    return evaluation


def _baseline_scores(
    run: loaded_run.Run, own: dataset.Reviews, split: splits.Split, texts: evaluate.Objects
) -> dict[str, evaluate.Floats]:
    fitted = fit_baselines(own, split, run.decision, seed=run.settings.seed)
    return {name: predict(texts.tolist()) for name, predict in fitted.items()}


def _rows(run: loaded_run.Run, part: Part) -> evaluate.Rows:
    reviews, rows = part.dataset, part.rows
    statistics = corpus.statistics(run.features, reviews.texts[rows])
    return evaluate.Rows(
        texts=reviews.texts[rows],
        labels=reviews.labels[rows],
        sources=reviews.sources[rows],
        files=reviews.files[rows],
        lines=reviews.rows[rows],
        units=part.units[rows],
        out_of_vocabulary=statistics["out_of_vocabulary"].astype(np.float64),
        ordinal=reviews.ordinal,
    )


def _data(part: Part, unit: str) -> sections.Data:
    reviews = part.dataset
    return sections.Data(
        source=reviews.name,
        split=part.name,
        unit=unit,
        sha256=reviews.sha256,
        certificate=part.certificate,
        notes=reviews.notes,
    )


def fit_baselines(
    own: dataset.Reviews, split: splits.Split, decision: decisions.Decision, *, seed: int
) -> dict[str, baselines.Predict]:
    """Fit the baselines on the model's training part, tuned on its validation part."""
    train_rows, validation_rows = split.rows("train"), split.rows("validation")
    return baselines.fit(
        own.texts[train_rows].tolist(),
        own.labels[train_rows],
        own.texts[validation_rows].tolist(),
        own.labels[validation_rows],
        class_names=decision.class_names,
        seed=seed,
    )
