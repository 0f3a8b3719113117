"""From a run to a serving bundle: raw columns and history in; score, decision and reasons out; with its model card."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from apps.fraud_detection import data, fused, fusing, graph, model, preprocessing, reasons, tensor_names, wording
from apps.fraud_detection import run as loaded_run
from apps.fraud_detection.readers import formats
from apps.fraud_detection.transactions import Transactions
from shared import errors, monitoring, resources
from shared.bundle import engine_export, export
from shared.bundle import formats as bundle_formats
from shared.evaluation import classification, drift
from shared.report import metrics, model_card

NAME = "fraud_detection"
GOLDEN_ROWS = 256
# Rows whose outputs depend on the last bits tell nothing about parity.
CLEARANCE = 1e-3
# What a score may differ by where all networks are one function.
FUSED_TOLERANCE = 5e-6
# Rows that engines are compared on: the rarest class decides, so many.
COMPARED_ROWS = 10_000


def export_run(
    run: loaded_run.Run, prepared: data.Prepared, repository: pathlib.Path, *, engines: Sequence[str] = ()
) -> export.Exported:
    """Write a checked bundle.

    Args:
        run: The finished run.
        prepared: Its own source: golden inputs and the drift reference are of its newest validation part.
        repository: The model repository.
        engines: Those to write beside the SavedModel; they serve ``score``, as reasons need gradients.

    Raises:
        errors.GateError: The reloaded bundle or an engine gives other outputs than ``predict``.
    """
    scorer = run.newest
    reader = graph.Reader(scorer.inputs)
    scorer.model.raw_columns = reader
    raw = reference_rows(run, prepared)
    signatures = endpoints(scorer, reader)
    one = fusing.fuse(scorer.model)
    if one is not None:
        check_fused(one, scorer, raw[1])
    compared = monitoring.in_batches(export.compiled(signatures["drift"]), raw[0], rows=model.BATCH_ROWS)
    return export.write(
        scorer.model,
        signatures,
        golden(scorer, raw, seed=run.settings.seed),
        repository=repository,
        name=NAME,
        smoke=resources.is_smoke(run.folder),
        extras={
            "decision.json": {**scorer.decision_rule.to_json(), "reasons": list(reasons.names(scorer.inputs))},
            "inputs.json": scorer.inputs.to_json(),
            "drift_reference.json": drift.reference(compared),
            bundle_formats.DISPLAY_FILE: show(run).to_json(metrics.of_run(run.folder)),
            "model_card.md": model_card.render(build_card(run)),
            **({fused.FILE: one.to_json()} if one is not None else {}),
        },
        input_names=tensor_names.originals(scorer.inputs),
        core=core(run, prepared, engines) if engines else None,
    )


def check_fused(one: fused.Fused, scorer: model.Scorer, given: Mapping[str, npt.NDArray[Any]]) -> None:
    """Compare the networks as one function with the networks themselves, on what these read of validation rows.

    Raises:
        errors.GateError: A score differs by more than the last bits do, or a decision whose score is clear.
    """
    expected = scorer.scores(given)
    found = one.scores(len(expected), lambda rows: {name: values[rows] for name, values in given.items()})
    worst = float(np.max(np.abs(found - expected), initial=0.0))
    threshold = scorer.decision_rule.threshold
    clear = np.abs(expected - threshold) > FUSED_TOLERANCE
    changed = int((((found >= threshold) != (expected >= threshold)) & clear).sum())
    if not worst <= FUSED_TOLERANCE or changed:
        raise errors.GateError(
            f"{fused.FILE}: expected scores within {FUSED_TOLERANCE} of the networks'. Received: a difference of "
            f"{worst:.3g}, and {changed} of {len(expected)} rows with another decision"
        )


def core(run: loaded_run.Run, prepared: data.Prepared, engines: Sequence[str]) -> engine_export.Core:
    """Return what other engines run, and the transactions that they are calibrated and compared on."""
    fold, network = prepared.folds[-1], run.newest.model
    training = np.random.default_rng(run.settings.seed).permutation(fold.train)[: engine_export.CALIBRATION_ROWS]
    labels = prepared.transactions.labels
    compared = fold.validation[labels[fold.validation] >= 0]
    # All frauds, and the newest of the rest.
    compared = compared[np.argsort(labels[compared] == 1, kind="stable")][-COMPARED_ROWS:]

    def columns(rows: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
        return tensor_names.columns(run.inputs, prepared.transactions, prepared.history, rows)

    return engine_export.Core(
        network=keras.Model(network.input, {"logits": network.output}, name="network"),
        names=engines,
        validation=columns(compared),
        training=columns(training),
        metric=lambda outputs: classification.average_precision(labels[compared], outputs["score"]),
        signature="score",
    )


def reference_rows(run: loaded_run.Run, prepared: data.Prepared) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the newest validation part: what a signature takes of it, and what the networks read."""
    rows = prepared.folds[-1].validation
    arguments: tuple[Transactions, Any, Any] = (prepared.transactions, prepared.history, rows)
    return tensor_names.columns(run.inputs, *arguments), preprocessing.arrays(run.inputs, *arguments)


def endpoints(scorer: model.Scorer, reader: graph.Reader) -> dict[str, export.Endpoint]:
    """Return the signatures.

    ``serving_default`` gives reasons, too; ``score``, many times faster, and ``classify`` do not; ``drift`` gives
    the columns of drift; ``preprocess`` and ``answer`` are what comes before and after the network in ``score``, for
    engines that run only that.
    """
    threshold = np.float64(scorer.decision_rule.threshold)
    names = tf.constant(scorer.decision_rule.class_names)

    def preprocess(raw: Mapping[str, Any]) -> dict[str, Any]:
        arrays = reader(raw)
        return {tensor.name: arrays[tensor.name] for tensor in scorer.model.inputs}

    def score(raw: Mapping[str, Any]) -> dict[str, Any]:
        return answer(scorer.model(model.wanted(preprocess(raw)), training=False))

    def answer(logits: Any) -> dict[str, Any]:
        found = tf.sigmoid(tf.cast(logits[:, 1], tf.float64) - tf.cast(logits[:, 0], tf.float64))
        return {"score": found, "decision": tf.gather(names, tf.cast(found >= threshold, tf.int32))}

    def columns(raw: Mapping[str, Any]) -> dict[str, Any]:
        return graph.drift_columns(scorer.inputs, reader(raw), reader.known_names(raw), score(raw)["score"])

    def explain(raw: Mapping[str, Any]) -> dict[str, Any]:
        found = reasons.contributions(scorer.model, scorer.inputs, reader(raw))
        return {**score(raw), "reasons": reasons.strongest(found)}

    specs = graph.specs(scorer.inputs)
    fast = export.Endpoint(function=score, inputs=specs)
    return {
        "serving_default": export.Endpoint(function=explain, inputs=specs),
        "score": fast,
        "classify": export.classifying(fast, scorer.decision_rule.class_names),
        "drift": export.Endpoint(function=columns, inputs=specs),
        "preprocess": export.Endpoint(function=preprocess, inputs=specs),
        "answer": export.Endpoint(
            function=lambda given: answer(given["logits"]),
            inputs={"logits": tf.TensorSpec([None, model.CLASSES], tf.float32, "logits")},
        ),
    }


def show(run: loaded_run.Run) -> bundle_formats.Display:
    """Return what a page says of the model."""
    rule = run.newest.decision_rule
    return bundle_formats.Display(
        title="Fraud in card transactions",
        input="columns",
        threshold=rule.threshold,
        threshold_rule=rule.rule,
        class_names=rule.class_names,
        reason_names=reasons.names(run.inputs),
        not_for="Not for refusing a payment or blocking a person without a human decision.",
        synthetic=run.settings.data == (formats.SIMULATOR,),
    )


def golden(
    scorer: model.Scorer, raw: tuple[dict[str, npt.NDArray[Any]], dict[str, npt.NDArray[Any]]], *, seed: int
) -> export.Golden:
    """Return raw rows, half of them the most suspicious, with what ``predict`` gives for them.

    Left out are rows on a border, and rows with a missing number, which JSON cannot hold.
    Where every row has one, zeros stand for missing numbers.
    """
    columns, arrays = raw
    if not np.isfinite(arrays["numbers"]).all(axis=1).any():
        columns, arrays = _filled(columns), _filled(arrays)
    scores = scorer.scores(arrays)
    complete = np.isfinite(arrays["numbers"]).all(axis=1) & (
        np.abs(scores - scorer.decision_rule.threshold) > CLEARANCE / 10
    )
    order = np.argsort(np.where(complete, -scores, np.inf), kind="stable")[: int(complete.sum())]
    some = np.random.default_rng(seed).permutation(order[GOLDEN_ROWS // 2 :])
    chosen = np.concatenate([order[: GOLDEN_ROWS // 2], some])[: 2 * GOLDEN_ROWS]
    picked = {name: values[chosen] for name, values in arrays.items()}
    found = reasons.find(scorer, picked)
    rows = np.resize(np.flatnonzero(_clear(found)), GOLDEN_ROWS)
    outputs = {
        "score": scores[chosen][rows],
        "decision": scorer.decision_rule.decisions(scores[chosen][rows]),
        "reasons": found.indices[rows],
    }
    return export.Golden(inputs={name: values[chosen][rows] for name, values in columns.items()}, outputs=outputs)


def _filled(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    return {name: np.nan_to_num(values) if values.dtype.kind == "f" else values for name, values in arrays.items()}


def _clear(found: reasons.Reasons) -> npt.NDArray[np.bool_]:
    """Return (n,) whether neither the order of the reasons nor their number hangs on the last bits."""
    ranked: npt.NDArray[np.float64] = -np.sort(-found.contributions, axis=1)
    ranked = ranked[:, : wording.REASONS + 1]
    # What adds too little is no reason: its order does not matter.
    apart = (np.abs(np.diff(ranked, axis=1)) > CLEARANCE) | (ranked[:, :-1] < reasons.SMALLEST)
    return np.asarray(apart.all(axis=1) & (np.abs(ranked - reasons.SMALLEST) > CLEARANCE).all(axis=1))


def build_card(run: loaded_run.Run) -> model_card.ModelCard:
    """Return the card of a finished run; with a note when the run has not been evaluated."""
    settings = run.settings
    found = run.inputs
    said = model_card.ModelCard(
        name="fraud_detection",
        summary="Ranks card transactions by the probability of fraud, for a queue of alerts within a daily budget.",
        details={
            "networks": ", ".join(model.networks(settings, found)),
            "parameters": f"{run.newest.model.count_params():,}",
            "reads": ", ".join((*found.shown, *found.vocabularies)),
            "label delay": f"{found.schema.label_delay_days:g} days",
        },
        intended_uses=[
            "Choosing which of a day's transactions an investigator looks at first, with reasons.",
            "Comparing with, or adding to, rules that are in place.",
        ],
        out_of_scope=[
            "Refusing a payment or blocking a person without a human decision.",
            "Sources other than those of the training data: monitor drift and evaluate first.",
            "Kinds of fraud that the training weeks do not hold.",
        ],
        factors=["kind of fraud", "amount", "length of the card's history", "delay of the labels", "day"],
        ethical_considerations=[
            "False alarms cost persons time and dignity: compare their rate between groups (`group` in the schema).",
            "Identities of cards and terminals are not features; their histories are.",
        ],
        caveats=[
            "Fraud changes: update with investigators' labels, and keep the champion unless a challenger is better.",
            "Labels exist mostly for what was alerted: estimates from them are biased towards the model.",
        ],
    )
    return model_card.of_run(said, run.folder, settings.data)
