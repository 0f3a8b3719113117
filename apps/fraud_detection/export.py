"""From a run to a serving bundle: raw columns and history in; score, decision and reasons out."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from apps.fraud_detection import card, data, graph, inputs, model, monitor, reasons, scoring, wording
from apps.fraud_detection.transactions import Transactions
from shared import export
from shared.evaluation import drift
from shared.report import model_card

NAME = "fraud_detection"
GOLDEN_ROWS = 256
# Rows whose answer hangs on the last bits tell nothing about parity.
CLEARANCE = 1e-3


def export_run(run: scoring.Run, prepared: data.Prepared, repository: pathlib.Path) -> export.Exported:
    """Write a checked bundle.

    Args:
        run: The finished run.
        prepared: Its own source: golden inputs and the drift reference are of its newest validation part.
        repository: The model repository.

    Raises:
        errors.GateError: The reloaded bundle answers otherwise than ``predict``.
    """
    scorer = run.newest
    reader = graph.Reader(scorer.inputs)
    scorer.model.raw_columns = reader
    raw = reference_rows(run, prepared)
    return export.write(
        scorer.model,
        endpoints(scorer, reader),
        golden(scorer, raw, seed=run.settings.seed),
        repository=repository,
        name=NAME,
        extras={
            "decision.json": {**scorer.verdict.to_json(), "reasons": list(reasons.names(scorer.inputs))},
            "inputs.json": scorer.inputs.to_json(),
            "drift_reference.json": drift.reference(monitor.columns(scorer, *raw)),
            "model_card.md": model_card.render(card.build(run)),
        },
    )


def reference_rows(run: scoring.Run, prepared: data.Prepared) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the newest validation part: what a signature takes of it, and what the networks read."""
    rows = prepared.folds[-1].validation
    arguments: tuple[Transactions, Any, Any] = (prepared.transactions, prepared.history, rows)
    return graph.columns(run.inputs, *arguments), inputs.arrays(run.inputs, *arguments)


def endpoints(scorer: scoring.Scorer, reader: graph.Reader) -> dict[str, export.Endpoint]:
    """Return the signatures: ``serving_default`` with reasons; ``score``, faster without; and ``classify``."""
    threshold = np.float64(scorer.verdict.threshold)
    names = tf.constant(scorer.verdict.class_names)

    def score(raw: Mapping[str, Any]) -> dict[str, Any]:
        arrays = reader(raw)
        logits = scorer.model(_read(scorer, arrays), training=False)
        found = tf.sigmoid(tf.cast(logits[:, 1], tf.float64) - tf.cast(logits[:, 0], tf.float64))
        return {"score": found, "decision": tf.gather(names, tf.cast(found >= threshold, tf.int32))}

    def explain(raw: Mapping[str, Any]) -> dict[str, Any]:
        found = reasons.contributions(scorer.model, scorer.inputs, reader(raw))
        return {**score(raw), "reasons": reasons.strongest(found)}

    specs = graph.specs(scorer.inputs)
    fast = export.Endpoint(function=score, inputs=specs)
    return {
        "serving_default": export.Endpoint(function=explain, inputs=specs),
        "score": fast,
        "classify": export.classifying(fast, scorer.verdict.class_names),
    }


def _read(scorer: scoring.Scorer, arrays: Mapping[str, Any]) -> Any:
    return model.wanted({tensor.name: arrays[tensor.name] for tensor in scorer.model.inputs})


def golden(
    scorer: scoring.Scorer, raw: tuple[dict[str, npt.NDArray[Any]], dict[str, npt.NDArray[Any]]], *, seed: int
) -> export.Golden:
    """Return raw rows, half of them the most suspicious, with the answers that ``predict`` gives.

    Left out are rows with a missing number, which JSON cannot hold, and rows on a border.
    """
    columns, arrays = raw
    scores = scorer.scores(arrays)
    complete = np.isfinite(arrays["numbers"]).all(axis=1) & (np.abs(scores - scorer.verdict.threshold) > CLEARANCE / 10)
    order = np.argsort(np.where(complete, -scores, np.inf), kind="stable")[: int(complete.sum())]
    some = np.random.default_rng(seed).permutation(order[GOLDEN_ROWS // 2 :])
    chosen = np.concatenate([order[: GOLDEN_ROWS // 2], some])[: 2 * GOLDEN_ROWS]
    picked = {name: values[chosen] for name, values in arrays.items()}
    found = reasons.find(scorer, picked)
    rows = np.resize(np.flatnonzero(_clear(found)), GOLDEN_ROWS)
    outputs = {
        "score": scores[chosen][rows],
        "decision": scorer.verdict.decisions(scores[chosen][rows]),
        "reasons": found.indices[rows],
    }
    return export.Golden(inputs={name: values[chosen][rows] for name, values in columns.items()}, outputs=outputs)


def _clear(found: reasons.Reasons) -> npt.NDArray[np.bool_]:
    """Return (n,) whether neither the order of the reasons nor their number hangs on the last bits."""
    ranked: npt.NDArray[np.float64] = -np.sort(-found.contributions, axis=1)
    ranked = ranked[:, : wording.REASONS + 1]
    apart = (np.abs(np.diff(ranked, axis=1)) > CLEARANCE).all(axis=1)
    return np.asarray(apart & (np.abs(ranked - reasons.SMALLEST) > CLEARANCE).all(axis=1))
