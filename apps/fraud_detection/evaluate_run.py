"""The verb ``evaluate``: which rows of which folds, what models and baselines predict, results and report written."""

import dataclasses
import logging
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from apps.fraud_detection import (
    baselines,
    data,
    evaluate,
    folds,
    inputs,
    metrics,
    model,
    preprocessing,
    report,
    synthesis,
)
from apps.fraud_detection import decision as decision_rule
from apps.fraud_detection import results as outcome
from apps.fraud_detection import run as loaded_run
from apps.fraud_detection.transactions import CLASS_NAMES, Transactions
from shared import given_predictions
from shared.evaluation import drift, other_models
from shared.report import document, sections

log = logging.getLogger("fieldnets")
Floats = npt.NDArray[np.float64]
Arrays = Mapping[str, npt.NDArray[Any]]
Training = tuple[Arrays, npt.NDArray[np.int64]]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class FoldScores:
    """The scores of one fold's rows: name -> (n,) scores, for each kind of comparison."""

    scores: Floats
    members: dict[str, Floats]
    baselines: dict[str, Floats]
    imbalance: dict[str, Floats]
    synthetic: dict[str, Floats]
    memorisation: dict[str, float]


def evaluate_run(
    run: loaded_run.Run, own: data.Prepared, part: loaded_run.Part, *, seed: int, output: pathlib.Path
) -> document.Evaluation:
    """Evaluate a run and write ``metrics.json``, ``report.html`` and ``predictions.parquet``.

    Args:
        run: The finished run.
        own: The run's own source: the baselines are fitted on the very rows that the models were.
        part: The rows to evaluate.
        seed: Of the baselines and the bootstrap.
        output: Folder for the three files.
    """
    scores = [_score(run, own, fold, seed=seed) for fold in part.folds]
    results = evaluate.evaluate(
        _rows(run, own, part),
        _data(part),
        _predictions(run, part, scores),
        baseline_scores=_joined([each.baselines for each in scores]),
        resamples=run.settings.resamples,
        seed=seed,
    )
    evaluation = report.evaluation(results)
    evaluation.write(output, run.folder)
    return evaluation


def _data(part: loaded_run.Part) -> sections.Data:
    first = part.dataset
    return sections.Data(
        source=first.name,
        split=part.name,
        unit="card" if first.schema.payer is not None else "transaction",
        sha256=first.sha256,
        protocol=part.protocol,
        certificate=part.certificate,
        notes=first.notes,
    )


def rows_to_score(run: loaded_run.Run, own: data.Prepared, part: loaded_run.Part) -> given_predictions.Rows:
    """Return the transactions of the newest fold that another model must score, named by their ids."""
    del run
    transactions = own.transactions
    return given_predictions.Rows(
        table=data.table(transactions).drop(columns=_told(transactions), errors="ignore").assign(id=transactions.ids),
        identity=("id",),
        parts={"validation": own.folds[-1].validation, part.name: part.folds[-1].rows},
        class_names=CLASS_NAMES,
    )


def _told(transactions: Transactions) -> list[str]:
    """Return the columns that say, or nearly say, which transactions are frauds."""
    schema = transactions.schema
    return [name for name in (schema.label, schema.group, schema.scenario) if name is not None]


def evaluate_given(
    run: loaded_run.Run,
    own: data.Prepared,
    part: loaded_run.Part,
    given: other_models.Predictions,
    *,
    seed: int,
    output: pathlib.Path,
) -> document.Evaluation:
    """Evaluate another model's predictions for the newest fold beside the run's; arguments as of `evaluate_run`."""
    part = dataclasses.replace(part, folds=part.folds[-1:])
    newest, scores = part.folds[0], given.scores[part.name][:, 1]
    validation = given.scores["validation"][:, 1]
    rule = decision_rule.freeze(own.transactions, own.folds[-1].validation, validation, run.settings)
    ours = _score(run, own, newest, seed=seed)
    rows = _rows(run, own, part)
    results = evaluate.evaluate(
        dataclasses.replace(rows, reference_scores=validation),
        dataclasses.replace(_data(part), notes=(*part.dataset.notes, *given.notes)),
        outcome.Predictions(
            run=given.beside(run.folder.path.name),
            scores=scores,
            thresholds=np.full(len(scores), rule.threshold),
            rule=rule.rule,
            costs=rule.costs(part.dataset.schema.currency),
        ),
        baseline_scores={other_models.OWN_MODEL: ours.scores, **ours.baselines},
        resamples=run.settings.resamples,
        seed=seed,
    )
    evaluation = report.evaluation(results)
    evaluation.write(output, None)
    return evaluation


def _score(run: loaded_run.Run, own: data.Prepared, part: loaded_run.FoldRows, *, seed: int) -> FoldScores:
    scorer = run.folds[min(part.fold, len(run.folds) - 1)]
    networks = model.networks(run.settings, scorer.inputs)
    fold = own.folds[part.fold if part.fold < len(own.folds) else -1]
    train, validation = (
        preprocessing.arrays(scorer.inputs, own.transactions, own.history, rows)
        for rows in (fold.train, fold.validation)
    )
    labels, validation_labels = own.transactions.labels[fold.train], own.transactions.labels[fold.validation]
    log.info("fold %d: %d transactions; fitting the baselines on its training rows", part.fold + 1, len(part.rows))
    fitted = baselines.fit(train, labels, validation, validation_labels, names=scorer.inputs.numbers, seed=seed)
    arrays = part.arrays(scorer.inputs)
    synthetic, copied = _synthetic(run, part.fold, (train, labels), arrays, validation, seed=seed)
    return FoldScores(
        scores=scorer.scores(arrays),
        members=scorer.network_scores(networks, arrays) if len(networks) > 1 else {},
        baselines={name: predict(arrays) for name, predict in fitted.items()},
        imbalance=baselines.compare_imbalance(train, labels, arrays, seed=seed)
        if run.settings.compare_imbalance
        else {},
        synthetic=synthetic,
        memorisation=copied,
    )


def _synthetic(
    run: loaded_run.Run, number: int, train: Training, test: Arrays, holdout: Arrays, *, seed: int
) -> tuple[dict[str, Floats], dict[str, float]]:
    """Compare what trees learn from rows that the GAN of a fold draws, and check these for copies."""
    if "gan" not in run.settings.networks:
        return {}, {}
    folder = synthesis.generator_folder(run.folder, f"fold_{number + 1}/" if len(run.folds) > 1 else "")
    log.info("fold %d: drawing as many synthetic transactions as there are real ones", number + 1)
    arrays, labels = train
    drawn = synthesis.draw(folder, labels, seed=seed)
    copied = synthesis.memorisation(drawn, arrays["numbers"], holdout["numbers"], seed=seed)
    return synthesis.compare(drawn, arrays["numbers"], labels, test["numbers"], seed=seed), copied


def _rows(run: loaded_run.Run, own: data.Prepared, part: loaded_run.Part) -> metrics.Rows:
    parts, first = part.folds, part.dataset
    reference = loaded_run.own_rows(own, len(own.folds) - 1, own.folds[-1].validation)

    def joined(pick: Any) -> Any:
        return np.concatenate([pick(part) for part in parts])

    days = joined(lambda part: part.transactions.days[part.rows])
    columns = [drift_columns(run.inputs, part) for part in parts]
    return metrics.Rows(
        ids=joined(lambda part: part.transactions.ids[part.rows]),
        folds=joined(lambda part: np.full(len(part.rows), part.fold if len(parts) > 1 else 0, np.int64)),
        days=days,
        day_names={int(day): folds.day_name(int(day), calendar=first.calendar) for day in np.unique(days)},
        amounts=joined(lambda part: part.transactions.amount[part.rows]),
        labels=joined(lambda part: part.transactions.labels[part.rows]),
        payers=joined(lambda part: part.transactions.payers[part.rows]),
        has_payer=first.schema.payer is not None,
        weights=joined(lambda part: part.transactions.weights[part.rows]),
        columns=_joined(columns),
        reference_columns=drift_columns(run.inputs, reference),
        reference_scores=run.newest.scores(reference.arrays(run.inputs)),
        groups=None if first.groups is None else joined(lambda part: part.transactions.groups[part.rows]),
        scenarios=None if first.scenarios is None else joined(lambda part: part.transactions.scenarios[part.rows]),
    )


def _predictions(run: loaded_run.Run, part: loaded_run.Part, scores: list[FoldScores]) -> outcome.Predictions:
    rule = run.newest.decision_rule
    thresholds = [
        np.full(len(fold.rows), run.folds[min(fold.fold, len(run.folds) - 1)].decision_rule.threshold)
        for fold in part.folds
    ]
    copied = [each.memorisation for each in scores if each.memorisation]
    return outcome.Predictions(
        run=run.folder.path.name,
        scores=np.concatenate([each.scores for each in scores]),
        thresholds=np.concatenate(thresholds),
        rule=rule.rule,
        costs=rule.costs(part.dataset.schema.currency),
        members=_joined([each.members for each in scores]),
        imbalance=_joined([each.imbalance for each in scores]),
        synthetic=_joined([each.synthetic for each in scores]),
        memorisation={name: float(np.mean([each[name] for each in copied])) for name in copied[0]} if copied else {},
        history=pd.read_csv(run.folder.history),
    )


def drift_columns(found: inputs.Inputs, part: loaded_run.FoldRows) -> dict[str, npt.NDArray[Any]]:
    """Return the columns that the networks read of some rows, each (n,), as the bundle's signature ``drift`` has them.

    Numbers are float64; names are text, ``drift.OTHER`` where the networks know none of their own, "" where missing.
    """
    numbers = preprocessing.numbers(found, part.transactions, part.history, part.rows).astype(np.float64)
    columns: dict[str, npt.NDArray[Any]] = dict(zip(found.shown, numbers.T, strict=True))
    for name, words in found.vocabularies.items():
        values = part.transactions.categorical[name][part.rows]
        known = np.array([drift.OTHER, *words], object)[preprocessing.ids(values, words)]
        columns[name] = np.where(values == "", "", known)
    return columns


def _joined(folds: list[dict[str, npt.NDArray[Any]]]) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of all folds, one fold after the other."""
    return {name: np.concatenate([each[name] for each in folds]) for name in folds[0]}
