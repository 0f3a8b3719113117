"""From a run to a serving bundle: text in; scores, label and decision out, and a card of what its users must know."""

import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from apps.sentiment import attribution, dataset, encoding, model, monitor
from apps.sentiment import run as loaded_run
from shared import resources, splits
from shared.bundle import engine_export, export, formats
from shared.evaluation import drift
from shared.report import metrics, model_card

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


# Rows that engines are compared on.
COMPARED_ROWS = 1000


def export_run(
    run: loaded_run.Run,
    reviews: dataset.Reviews,
    split: splits.Split,
    repository: pathlib.Path,
    *,
    engines: Sequence[str] = (),
) -> export.Exported:
    """Write a checked bundle.

    Args:
        run: The finished run.
        reviews: The run's own texts.
        split: Their parts: golden inputs are drawn from validation, which is also the drift reference.
        repository: The model repository.
        engines: Those to write beside the SavedModel.

    Raises:
        errors.GateError: The reloaded bundle or an engine predicts otherwise than ``predict``.
    """
    texts = reviews.texts[split.rows("validation")]
    signatures = endpoints(run)
    return export.write(
        run.model,
        signatures,
        golden(run, texts),
        repository=repository,
        name=NAME,
        smoke=resources.is_smoke(run.folder),
        extras={
            "decision.json": run.decision.to_json(),
            "drift_reference.json": drift.reference(monitor.drift_columns(export.compiled(signatures["drift"]), texts)),
            dataset.CODE_FILE: reviews.code.to_json(),
            formats.DISPLAY_FILE: show(run).to_json(metrics.of_run(run.folder)),
            "model_card.md": model_card.render(build_card(run)),
        },
        core=core(run, reviews, split, engines) if engines else None,
    )


def core(
    run: loaded_run.Run, reviews: dataset.Reviews, split: splits.Split, engines: Sequence[str]
) -> engine_export.Core:
    """Return what other engines run, and the reviews that they are calibrated and compared on."""
    generator = np.random.default_rng(run.settings.seed)
    compared = generator.permutation(split.rows("validation"))[:COMPARED_ROWS]
    training = generator.permutation(split.rows("train"))[: engine_export.CALIBRATION_ROWS]
    truth = np.array(reviews.class_names, object)[reviews.labels[compared]]
    return engine_export.Core(
        # Loaded anew: what the other signatures built of the run's own layers cannot be copied.
        network=network_of_features(model.load(run.folder.model), features_read(run)),
        names=engines,
        validation={"text": reviews.texts[compared]},
        training={"text": reviews.texts[training]},
        metric=lambda outputs: float((outputs["labels"] == truth).mean()),
        padded=features_read(run)[::-1],
    )


def network_of_features(whole: keras.Model, read_features: Sequence[str]) -> keras.Model:
    """Return the networks and their average: features (batch, length) int32 by name to ``logits`` (batch, classes)."""
    average = whole.get_layer("logits")
    tensors = average.input if isinstance(average.input, list) else [average.input]
    networks = [tensor._keras_history.operation for tensor in tensors]
    inputs = {name: keras.Input((None,), dtype="int32", name=name) for name in read_features}
    read = {model.INPUTS[name]: tensor for name, tensor in inputs.items()}
    logits = [network(read[network.inputs[0].name]) for network in networks]
    return keras.Model(inputs, {"logits": average(logits)}, name="network")


def features_read(run: loaded_run.Run) -> list[str]:
    """Return the features of texts that the run's networks read, in the order of the alphabet: tokens come last."""
    return sorted({model.feature(name) for name in run.settings.networks})


def endpoints(run: loaded_run.Run) -> dict[str, export.Endpoint]:
    """Return the signatures.

    ``serving_default`` and ``classify`` predict texts; ``explain`` gives what each token adds; ``drift`` gives the
    columns that are monitored; ``preprocess`` and ``answer`` are what comes before and after the networks, for
    engines that run only these.
    """
    features = run.features
    inputs = {"text": tf.TensorSpec([None], tf.string, "text")}
    predict = export.Endpoint(function=export.classifier(run.model, run.decision), inputs=inputs)
    decided, wanted = export.classifier(export.given_logits, run.decision), features_read(run)
    why = attribution.graph(run)

    def columns(given: Any) -> Any:
        return monitor.columns(predict.function(given), features.statistics(given["text"]))

    def preprocess(given: Any) -> Any:
        found = features(given["text"])
        return {name: found[name] for name in wanted}

    return {
        "serving_default": predict,
        "classify": export.classifying(predict, run.decision.class_names),
        "drift": export.Endpoint(function=columns, inputs=inputs),
        "explain": export.Endpoint(function=lambda given: why(given["text"]), inputs=inputs),
        "preprocess": export.Endpoint(function=preprocess, inputs=inputs),
        "answer": export.Endpoint(
            function=lambda given: decided(given["logits"]),
            inputs={"logits": tf.TensorSpec([None, len(run.decision.class_names)], tf.float32, "logits")},
        ),
    }


def show(run: loaded_run.Run) -> formats.Display:
    """Return what a page shows of the model."""
    return formats.Display(
        title="Sentiment of texts",
        input="text",
        threshold=run.decision.threshold,
        threshold_rule=run.decision.rule,
        class_names=run.decision.class_names,
        not_for="Not for decisions about single persons, such as hiring, credit, moderation without review, or health.",
        synthetic=False,
    )


def golden(run: loaded_run.Run, texts: npt.NDArray[np.object_]) -> export.Golden:
    """Return 256 raw texts, awkward and real ones, with the predictions that ``predict`` gives."""
    real = np.random.default_rng(run.settings.seed).permutation(texts)[: GOLDEN_ROWS - len(AWKWARD)]
    chosen = np.concatenate([np.array(AWKWARD, object), real])
    chosen = np.resize(chosen, GOLDEN_ROWS)
    return export.Golden(inputs={"text": chosen}, outputs=run.predictions(chosen))


def build_card(run: loaded_run.Run) -> model_card.ModelCard:
    """Return the card of a finished run; it says so when the run has not been evaluated."""
    settings, origin = run.settings, encoding.origin(run.folder)
    scratch = "from scratch on the training part; no pretrained vectors or models"
    said = model_card.ModelCard(
        name="sentiment",
        summary="Scores a text as one of the classes it was trained on, with calibrated probabilities, and abstains.",
        details={
            "networks": ", ".join(settings.networks),
            "parameters": f"{run.model.count_params():,}",
            "training": f"the encoder fine-tuned from {origin}" if origin else scratch,
            "word ratings": "VADER lexicon (Hutto and Gilbert 2014), English" if settings.lexicon else "none",
        },
        intended_uses=[
            "Sorting and summarising opinions in texts like those it was trained on.",
            "Sending the texts on which it abstains to a person.",
        ],
        out_of_scope=[
            "Decisions about single persons, such as hiring, credit, moderation without review, or health.",
            "Languages and domains other than those of the training data: monitor drift and evaluate first.",
            "Sarcasm, and opinions about several things in one text: the score is of the whole text.",
        ],
        factors=[
            "length of the text",
            "source",
            "share of unknown words",
            "negation, typos, names (see the behaviour tests)",
        ],
        ethical_considerations=[
            "Texts may mention persons. The report's template test shows how much names and origins move the score.",
            "Reviews hold profanity and insults; the explanations show words as they stand.",
        ],
        caveats=[
            "Probabilities are calibrated on validation texts of the same source; elsewhere they may be overconfident.",
            "Texts longer than the reading limit are read at their beginning and end.",
        ],
    )
    return model_card.of_run(said, run.folder, settings.data)
