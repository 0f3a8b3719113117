"""From a finished run and labelled texts to what ``evaluate`` judges: parts, logits, baselines, behaviour."""

import dataclasses
import logging
import pathlib

import numpy as np
import numpy.typing as npt
import pandas as pd

from apps.sentiment import baselines, config, data, evaluate, prepare, scoring, text
from apps.sentiment.checklist import behaviour
from apps.sentiment.judgement import evidence
from apps.sentiment.readers import codes
from shared import decision as decisions
from shared import errors, files, splits
from shared.report import document

log = logging.getLogger("fieldnets")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """Which rows to judge.

    Attributes:
        reviews: The texts they are part of.
        units: (n,) split unit of each text.
        rows: Row numbers of the part judged.
        part: Its name.
        certificate: The run's split certificate; empty for other data.
    """

    reviews: data.Reviews
    units: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    part: str
    certificate: dict[str, object]


def measure(
    run: scoring.Run, own: data.Reviews, split: splits.Split, task: Task, *, seed: int, output: pathlib.Path
) -> evaluate.Evaluation:
    """Judge a run and write ``metrics.json``, ``report.html`` and ``predictions.parquet``.

    Args:
        run: The finished run.
        own: The run's own texts: the baselines are fitted on the very parts that the model was.
        split: Their split.
        task: The rows to judge.
        seed: Of the behaviour texts and the bootstrap.
        output: Folder for the three files.
    """
    log.info("evaluating %d texts (%s)", len(task.rows), task.part)
    texts = task.reviews.texts[task.rows]
    rows = evidence.Rows(
        texts=texts,
        labels=task.reviews.labels[task.rows],
        sources=task.reviews.sources[task.rows],
        files=task.reviews.files[task.rows],
        lines=task.reviews.rows[task.rows],
        units=task.units[task.rows],
        out_of_vocabulary=text.statistics(run.features, texts)["out_of_vocabulary"].astype(np.float64),
    )
    members = run.network_scores(texts) if len(run.settings.networks) > 1 else {}
    said = evidence.Run(
        name=run.folder.path.name,
        logits=run.logits(texts),
        decision=run.decision,
        members=members,
        history=pd.read_csv(run.folder.history),
    )
    about = evidence.Data(
        source=task.reviews.name,
        split=task.part,
        unit=split.unit_name,
        sha256=task.reviews.sha256,
        ordinal=task.reviews.ordinal,
        certificate=task.certificate,
        notes=task.reviews.notes,
    )
    log.info("fitting the baselines on the run's own training part")
    fitted = fit_baselines(own, split, run.decision, seed=run.settings.seed)
    log.info("asking the baselines and the behaviour suite")
    result = evaluate.evaluate(
        rows,
        about,
        said,
        baseline_scores={name: predict(texts.tolist()) for name, predict in fitted.items()},
        behaviour_report=behaviour.run(
            lambda strings: run.scores(np.array(strings, object)), run.decision.class_names, seed=seed
        ),
        resamples=run.settings.resamples,
        seed=seed,
    )
    document.write(result.report, output)
    with files.atomic(output / "predictions.parquet") as temporary:
        result.predictions.to_parquet(temporary, index=False)
    return result


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


def own_data(run: scoring.Run) -> tuple[data.Reviews, splits.Split]:
    """Read the run's source again and split it again, and check that both are what the certificate says.

    Raises:
        errors.GateError: The source has changed since the run.
    """
    names = run.decision.class_names
    if run.code is None:
        reviews = prepare.load_source(run.settings, class_names=names)
    else:
        reviews = prepare.load_source(run.settings, code=run.code)
        if reviews.class_names != names:
            raise errors.GateError(
                f"The run's data have changed: expected the classes {', '.join(names)}. "
                f"Received: {', '.join(reviews.class_names)}"
            )
    split, _ = prepare.split_source(reviews, run.settings)
    splits.require_same(files.read_json(run.folder.split), split, content_hashes=data.content_hashes(reviews))
    return reviews, split


def own_task(run: scoring.Run, reviews: data.Reviews, split: splits.Split, part: str) -> Task:
    """Judge a part of the run's own data."""
    rows = np.arange(len(reviews.texts)) if part == "all" else split.rows(part)
    certificate = files.read_json(run.folder.split)
    return Task(reviews=reviews, units=split.unit, rows=rows, part=part, certificate=certificate)


def other_task(
    run: scoring.Run,
    own: data.Reviews,
    split: splits.Split,
    settings: config.Config,
    part: str,
    *,
    quarantine: pathlib.Path | None = None,
) -> Task:
    """Judge data that are not the run's own: whole, or by their official part.

    Texts that the model was trained on are left out and counted in a note: it has seen their labels.

    Args:
        run: The finished run.
        own: The run's own texts.
        split: Their split.
        settings: Which source, and how to read it.
        part: Which of its official parts, or ``all``.
        quarantine: Where bad rows go with ``skip_bad``.

    Raises:
        errors.InputError: The part was named and the data have no such official part, or no unseen text is left.
    """
    reviews = prepare.load_source(settings, class_names=run.decision.class_names, code=own.code, quarantine=quarantine)
    guessed = [note for note in own.notes if note.startswith(codes.UNRECORDED)]
    reviews = dataclasses.replace(reviews, notes=(*reviews.notes, *guessed))
    wanted = np.ones(len(reviews.texts), bool) if part == "all" else reviews.fixed_parts == part
    if not wanted.any():
        raise errors.InputError(
            f"--split {part}: expected a source with an official {part} part, or --split all. Received: {reviews.name}"
        )
    trained_on = data.content_hashes(own)[split.rows("train")]
    seen = wanted & np.isin(data.content_hashes(reviews), trained_on)
    if (seen == wanted).all():
        raise errors.InputError(f"{reviews.name}: expected texts that this run was not trained on. Received: none")
    if seen.any():
        note = f"{int(seen.sum())} texts are left out: this run was trained on them"
        reviews = dataclasses.replace(reviews, notes=(*reviews.notes, note))
    rows = np.flatnonzero(wanted & ~seen)
    return Task(reviews=reviews, units=data.group(reviews).unit, rows=rows, part=part, certificate={})
