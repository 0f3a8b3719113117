"""The verb ``evaluate``: which texts, what the model and the baselines predict for them, results and report written."""

import dataclasses
import logging
import pathlib

import numpy as np
import pandas as pd

from apps.sentiment import baselines, config, data, evaluate, report, text
from apps.sentiment import run as loaded_run
from apps.sentiment.checklist import behaviour
from apps.sentiment.readers import codes
from shared import decision as decisions
from shared import errors, splits
from shared.evaluation import part as parts
from shared.report import document
from shared.report.sections import provenance

log = logging.getLogger("fieldnets")

Part = parts.Part[data.Reviews]


def evaluate_run(
    run: loaded_run.Run, own: data.Reviews, split: splits.Split, part: Part, *, seed: int, output: pathlib.Path
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
    log.info("fitting the baselines on the run's own training part")
    fitted = fit_baselines(own, split, run.decision, seed=run.settings.seed)
    log.info("predicting with the baselines, and running the behavioural tests")
    results = evaluate.evaluate(
        _rows(run, part),
        _data(part, split.unit_name),
        evaluate.Predictions(
            run=run.folder.path.name,
            logits=run.logits(texts),
            decision=run.decision,
            members=run.network_scores(texts) if len(run.settings.networks) > 1 else {},
            history=pd.read_csv(run.folder.history),
        ),
        baseline_scores={name: predict(texts.tolist()) for name, predict in fitted.items()},
        behaviour_report=behaviour.run(
            lambda strings: run.scores(np.array(strings, object)), run.decision.class_names, seed=seed
        ),
        resamples=run.settings.resamples,
        seed=seed,
    )
    evaluation = report.evaluation(results)
    evaluation.write(output)
    return evaluation


def _rows(run: loaded_run.Run, part: Part) -> evaluate.Rows:
    reviews, rows = part.dataset, part.rows
    statistics = text.statistics(run.features, reviews.texts[rows])
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


def _data(part: Part, unit: str) -> provenance.Data:
    reviews = part.dataset
    return provenance.Data(
        source=reviews.name,
        split=part.name,
        unit=unit,
        sha256=reviews.sha256,
        certificate=part.certificate,
        notes=reviews.notes,
    )


def fit_baselines(
    own: data.Reviews, split: splits.Split, decision: decisions.Decision, *, seed: int
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


def own_data(run: loaded_run.Run, *, quarantine: pathlib.Path | None = None) -> tuple[data.Reviews, splits.Split]:
    """Read the run's source again and split it again, and check that both are what the certificate says.

    Args:
        run: The finished run.
        quarantine: Where its bad rows are listed, if it sets them aside.

    Raises:
        errors.GateError: The source has changed since the run.
    """
    names = run.decision.class_names
    if run.code is None:
        reviews = data.load(run.settings, class_names=names, quarantine=quarantine)
    else:
        reviews = data.load(run.settings, code=run.code, quarantine=quarantine)
        if reviews.class_names != names:
            raise errors.GateError(
                f"The run's data have changed: expected the classes {', '.join(names)}. "
                f"Received: {', '.join(reviews.class_names)}"
            )
    split, _ = data.split(reviews, run.settings)
    return reviews, parts.checked(split, data.content_hashes(reviews), run.folder)


def other_part(
    run: loaded_run.Run,
    own: data.Reviews,
    split: splits.Split,
    settings: config.Config,
    name: str,
    *,
    quarantine: pathlib.Path | None = None,
) -> Part:
    """Return other data, whole or by their official part, without texts that the model was trained on.

    Args:
        run: The finished run.
        own: The run's own texts.
        split: Their split.
        settings: Which source, and how to read it.
        name: Which of its official parts, or ``all``.
        quarantine: Where bad rows go with ``skip_bad``.

    Raises:
        errors.InputError: The part was named and the data have no such official part, or no unseen text is left.
    """
    reviews = data.load(settings, class_names=run.decision.class_names, code=own.code, quarantine=quarantine)
    guessed = tuple(note for note in own.notes if note.startswith(codes.UNRECORDED))
    return parts.of_others(
        dataclasses.replace(reviews, notes=(*reviews.notes, *guessed)),
        name,
        content_hashes=data.content_hashes(reviews),
        trained_on=data.content_hashes(own)[split.rows("train")],
        units=lambda: data.group(reviews).unit,
        noun="texts",
    )
