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
    config,
    data,
    evaluate,
    folds,
    imbalance,
    inputs,
    learned,
    metrics,
    model,
    report,
)
from apps.fraud_detection import results as outcome
from apps.fraud_detection import run as loaded_run
from apps.fraud_detection.synthesis import checks, gan
from apps.fraud_detection.transactions import UNKNOWN, Transactions
from shared import errors, files
from shared.report import document
from shared.report.sections import provenance

log = logging.getLogger("fieldnets")
Floats = npt.NDArray[np.float64]
Arrays = Mapping[str, npt.NDArray[Any]]
Training = tuple[Arrays, npt.NDArray[np.int64]]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class FoldRows:
    """Rows of one source that one fold's model scores.

    Attributes:
        fold: Number of the fold, from 0.
        transactions: The source.
        history: Its features.
        rows: (n,) row numbers, oldest first.
    """

    fold: int
    transactions: Transactions
    history: Mapping[str, npt.NDArray[np.float32]]
    rows: npt.NDArray[np.int64]

    def arrays(self, found: inputs.Inputs) -> dict[str, npt.NDArray[Any]]:
        """Return what the networks read of the rows."""
        return inputs.arrays(found, self.transactions, self.history, self.rows)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """What to evaluate.

    Attributes:
        folds: The rows, for each fold.
        name: Of the part.
        protocol: How the parts were made, in a sentence.
        certificate: The run's split certificate; empty for other data.
    """

    folds: tuple[FoldRows, ...]
    name: str
    protocol: str
    certificate: dict[str, Any]

    @property
    def dataset(self) -> Transactions:
        """The source that the rows are of."""
        return self.folds[0].transactions


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
    run: loaded_run.Run, own: data.Prepared, part: Part, *, seed: int, output: pathlib.Path
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
    first = part.folds[0].transactions
    results = evaluate.evaluate(
        _rows(run, own, part),
        provenance.Data(
            source=first.name,
            split=part.name,
            unit="card" if first.schema.payer is not None else "transaction",
            sha256=first.sha256,
            protocol=part.protocol,
            certificate=part.certificate,
            notes=first.notes,
        ),
        _predictions(run, part, scores),
        baseline_scores=_joined([each.baselines for each in scores]),
        resamples=run.settings.resamples,
        seed=seed,
    )
    evaluation = report.evaluation(results)
    evaluation.write(output, run.folder)
    return evaluation


def own_data(run: loaded_run.Run, *, quarantine: pathlib.Path | None = None) -> tuple[data.Prepared]:
    """Read and cut the run's own source again; no row of it is ever set aside.

    Raises:
        errors.GateError: The source has changed since the run.
    """
    del quarantine
    return (data.prepare_again(run.settings, run.folder),)


def own_part(run: loaded_run.Run, own: data.Prepared, name: str) -> Part:
    """Return a part of the run's own data: of every fold, or with ``all`` everything, for the newest model."""
    protocol, certificate = folds.describe(own.transactions, run.settings), files.read_json(run.folder.split)
    if name == "all":
        labelled = np.flatnonzero(own.transactions.labels != UNKNOWN)
        whole = FoldRows(fold=len(own.folds) - 1, transactions=own.transactions, history=own.history, rows=labelled)
        return Part(folds=(whole,), name=name, protocol=protocol, certificate=certificate)
    # An update changes the newest fold's model only.
    seen = learned.among(run.folder.path, own.transactions)
    newest = len(own.folds) - 1
    found = [
        FoldRows(
            fold=number,
            transactions=own.transactions,
            history=own.history,
            rows=fold.rows(name) if number < newest or name == "train" else fold.rows(name)[~seen[fold.rows(name)]],
        )
        for number, fold in enumerate(own.folds)
    ]
    used = int(seen[own.folds[-1].rows(name)].sum())
    if used and not len(found[-1].rows):
        raise errors.InputError(
            f"--split {name}: expected transactions that the model has not learned from. Received: none; `update` has "
            f"used up this part: give newer data with --data"
        )
    if used:
        protocol += f" {used} rows of the newest part, from which updates learned since, are left out."
    if not all(len(each.rows) for each in found):
        raise errors.InputError(f"--split {name}: expected rows in every fold. Received: a fold without any")
    return Part(folds=tuple(found), name=name, protocol=protocol, certificate=certificate)


def other_part(
    run: loaded_run.Run,
    own: data.Prepared,
    settings: config.Config,
    name: str = "all",
    *,
    quarantine: pathlib.Path | None = None,
) -> Part:
    """Return other data, whole, for the newest model, without rows that it was trained on.

    Raises:
        errors.InputError: A part of them was named, or no labelled and unseen row is left.
    """
    del quarantine
    if name != "all":
        raise errors.InputError(f"--split {name}: expected all for data that are not the run's own. Received: a part")
    found = data.load(settings, trained_on=run.inputs.schema)
    data.require_labels(found)
    newest = own.folds[-1]
    seen = own.transactions.row_hashes()[np.concatenate([newest.train, newest.validation])]
    fresh = (found.labels != UNKNOWN) & ~np.isin(found.row_hashes(), seen) & ~learned.among(run.folder.path, found)
    if not fresh.any():
        raise errors.InputError(f"{found.name}: expected transactions that this run was not trained on. Received: none")
    left_out = int((~fresh).sum())
    if left_out:
        note = f"{left_out} transactions are left out: without a label, or this run was trained on them"
        found = dataclasses.replace(found, notes=(*found.notes, note))
    whole = FoldRows(
        fold=len(run.folds) - 1,
        transactions=found,
        history=inputs.compute_history(found, run.inputs.schema),
        rows=np.flatnonzero(fresh),
    )
    return Part(folds=(whole,), name="all", protocol="Data of another source, evaluated whole.", certificate={})


def _score(run: loaded_run.Run, own: data.Prepared, part: FoldRows, *, seed: int) -> FoldScores:
    scorer = run.folds[min(part.fold, len(run.folds) - 1)]
    networks = model.networks(run.settings, scorer.inputs)
    fold = own.folds[part.fold if part.fold < len(own.folds) else -1]
    train, validation = (
        inputs.arrays(scorer.inputs, own.transactions, own.history, rows) for rows in (fold.train, fold.validation)
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
        imbalance=imbalance.compare(train, labels, arrays, seed=seed) if run.settings.compare_imbalance else {},
        synthetic=synthetic,
        memorisation=copied,
    )


def _synthetic(
    run: loaded_run.Run, number: int, train: Training, test: Arrays, holdout: Arrays, *, seed: int
) -> tuple[dict[str, Floats], dict[str, float]]:
    """Compare what trees learn from rows that the GAN of a fold draws, and check these for copies."""
    if "gan" not in run.settings.networks:
        return {}, {}
    folder = gan.generator_folder(run.folder, f"fold_{number + 1}/" if len(run.folds) > 1 else "")
    log.info("fold %d: drawing as many synthetic transactions as there are real ones", number + 1)
    arrays, labels = train
    drawn = gan.draw(folder, labels, seed=seed)
    copied = checks.memorisation(drawn, arrays["numbers"], holdout["numbers"], seed=seed)
    return checks.compare(drawn, arrays["numbers"], labels, test["numbers"], seed=seed), copied


def _rows(run: loaded_run.Run, own: data.Prepared, part: Part) -> metrics.Rows:
    parts, first = part.folds, part.folds[0].transactions

    def joined(pick: Any) -> Any:
        return np.concatenate([pick(part) for part in parts])

    days = joined(lambda part: part.transactions.days[part.rows])
    numbers = joined(lambda part: inputs.numbers(run.inputs, part.transactions, part.history, part.rows))
    reference = own.folds[-1].validation
    arrays = inputs.arrays(run.inputs, own.transactions, own.history, reference)
    names = run.inputs.shown
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
        columns={name: numbers[:, index].astype(np.float64) for index, name in enumerate(names)},
        reference_columns={name: arrays["numbers"][:, index].astype(np.float64) for index, name in enumerate(names)},
        reference_scores=run.newest.scores(arrays),
        groups=None if first.groups is None else joined(lambda part: part.transactions.groups[part.rows]),
        scenarios=None if first.scenarios is None else joined(lambda part: part.transactions.scenarios[part.rows]),
    )


def _predictions(run: loaded_run.Run, part: Part, scores: list[FoldScores]) -> outcome.Predictions:
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
        costs=metrics.Costs(
            investigation=rule.investigation_cost,
            recovered_share=rule.recovered_share,
            alerts_per_day=rule.alerts_per_day,
            currency=part.folds[0].transactions.schema.currency,
        ),
        members=_joined([each.members for each in scores]),
        imbalance=_joined([each.imbalance for each in scores]),
        synthetic=_joined([each.synthetic for each in scores]),
        memorisation={name: float(np.mean([each[name] for each in copied])) for name in copied[0]} if copied else {},
        history=pd.read_csv(run.folder.history),
    )


def _joined(folds: list[dict[str, Floats]]) -> dict[str, Floats]:
    return {name: np.concatenate([each[name] for each in folds]) for name in folds[0]}
