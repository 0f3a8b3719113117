"""From a run to a serving bundle: text in; scores, label and decision out."""

import pathlib
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from apps.sentiment import card, monitor, scoring, text
from shared import decision as decisions
from shared import export
from shared.evaluation import drift
from shared.report import model_card

NAME = "sentiment"
GOLDEN_ROWS = 256

# What real traffic holds and a validation part does not: each has broken some text model somewhere.
AWKWARD = (
    "",
    " ",
    "\n\t",
    ".",
    "👍",
    "😀😡🤷🏽‍♀️ loved it ❤️",
    "GREAT!!! 10/10",
    "not bad, not good",
    "<br /><br />Terrible.<br/>Really <b>terrible</b>.",
    "<script>alert('x')</script>",
    "&quot;A masterpiece&quot; &amp; more",
    "C'était très décevant, l’histoire est nulle.",
    "この映画は本当に素晴らしかった。",
    "这部电影太差了",
    "Фильм отличный, всем советую",
    "فيلم رائع جدا",
    "सबसे अच्छी फिल्म",
    "영화가 너무 지루했다",
    "zero\x00byte",
    "combining e\u0301 and \u200bzero width",
    "https://example.org/review?id=1 see link",
    "don't can't won't isn't",
    "good " * 5000,
    "a" * 20_000,
    "🎬" * 3000,
)


def export_run(run: scoring.Run, texts: npt.NDArray[np.object_], repository: pathlib.Path) -> export.Exported:
    """Write a checked bundle.

    Args:
        run: The finished run.
        texts: (n,) str, the run's validation part: golden inputs are drawn from it, and it is the drift reference.
        repository: The model repository.

    Raises:
        errors.GateError: The reloaded bundle answers otherwise than ``predict``.
    """
    return export.write(
        run.model,
        endpoints(run),
        golden(run, texts),
        repository=repository,
        name=NAME,
        extras={
            "decision.json": run.decision.to_json(),
            "drift_reference.json": drift.reference(reference_columns(run, texts)),
            "model_card.md": model_card.render(card.build(run)),
        },
    )


def endpoints(run: scoring.Run) -> dict[str, export.Endpoint]:
    """Return the signatures: ``serving_default``, ``classify``, and ``statistics`` for drift."""
    features = run.features
    inputs = {"text": tf.TensorSpec([None], tf.string, "text")}
    answer = export.Endpoint(function=export.classifier(run.model, run.decision), inputs=inputs)
    return {
        "serving_default": answer,
        "classify": export.classifying(answer, run.decision.class_names),
        "statistics": export.Endpoint(function=lambda given: features.statistics(given["text"]), inputs=inputs),
    }


def reference_columns(run: scoring.Run, texts: npt.NDArray[np.object_]) -> dict[str, npt.NDArray[Any]]:
    """Return the drift columns of texts that the model was not trained on."""
    outputs = answers(run.decision, run.logits(texts)) | text.statistics(run.features, texts)
    return monitor.columns(outputs)


def golden(run: scoring.Run, texts: npt.NDArray[np.object_]) -> export.Golden:
    """Return 256 raw texts, awkward and real ones, with the answers that ``predict`` gives."""
    real = np.random.default_rng(run.settings.seed).permutation(texts)[: GOLDEN_ROWS - len(AWKWARD)]
    chosen = np.concatenate([np.array(AWKWARD, object), real])
    chosen = np.resize(chosen, GOLDEN_ROWS)
    return export.Golden(inputs={"text": chosen}, outputs=answers(run.decision, run.logits(chosen)))


def answers(decision: decisions.Decision, logits: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[Any]]:
    """Return what the serving signature returns: scores (n, classes), labels (n,), decision (n,)."""
    scores = decision.scores(logits)
    labels = np.array(decision.class_names, object)[decision.predicted(scores)]
    return {"scores": scores, "labels": labels, "decision": decision.decisions(scores)}
