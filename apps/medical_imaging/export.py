"""From a run to a serving bundle: an image file in; scores, label and decision out; and the model card inside."""

import itertools
import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from apps.medical_imaging import config, data, decision, graph, monitor, preprocessing
from apps.medical_imaging import run as loaded_run
from shared import resources, splits
from shared.bundle import engine_export, export, formats
from shared.evaluation import drift
from shared.report import metrics, model_card

NAME = "medical_imaging"
GOLDEN_ROWS = 32
# Rows of the drift reference: enough for its quantiles, few enough to decode in seconds.
REFERENCE_ROWS = 2000
# Validation rows on which engines are compared.
COMPARED_ROWS = 500


def export_run(
    run: loaded_run.Run,
    radiographs: data.Radiographs,
    split: splits.Split,
    repository: pathlib.Path,
    *,
    engines: Sequence[str] = (),
) -> export.Exported:
    """Write a checked bundle.

    Args:
        run: The finished run.
        radiographs: The run's own images.
        split: Their parts: golden inputs are drawn from validation, which is also the drift reference.
        repository: The model repository.
        engines: Those to write beside the SavedModel.

    Raises:
        errors.GateError: The reloaded bundle or an engine predicts otherwise than ``predict``.
    """
    chosen = np.random.default_rng(run.settings.seed).permutation(split.rows("validation"))[:REFERENCE_ROWS]
    items = [radiographs.images.read(int(row)) for row in chosen]
    signatures = endpoints(run)
    return export.write(
        run.model,
        signatures,
        golden(run, items),
        repository=repository,
        name=NAME,
        smoke=resources.is_smoke(run.folder),
        extras={
            "decision.json": run.rule.to_json(),
            "drift_reference.json": drift.reference(
                monitor.drift_columns(export.compiled(signatures["drift"]), items, grey_bits=run.grey_bits)
            ),
            preprocessing.FILE: {"grey_bits": run.grey_bits},
            formats.DISPLAY_FILE: show(run).to_json(metrics.of_run(run.folder)),
            "model_card.md": model_card.render(build_card(run)),
        },
        core=core(run, radiographs, split, engines) if engines else None,
    )


def core(
    run: loaded_run.Run, radiographs: data.Radiographs, split: splits.Split, engines: Sequence[str]
) -> engine_export.Core:
    """Return what other engines run, and the images that they are calibrated and compared on."""
    generator = np.random.default_rng(run.settings.seed)
    compared = generator.permutation(split.rows("validation"))[:COMPARED_ROWS]
    training = generator.permutation(split.rows("train"))[: engine_export.CALIBRATION_ROWS]
    return engine_export.Core(
        network=keras.Model(run.model.input, {"logits": run.model.output}, name="network"),
        names=engines,
        validation={"image_bytes": as_files([radiographs.images.read(int(row)) for row in compared])},
        training={"image_bytes": as_files([radiographs.images.read(int(row)) for row in training])},
        metric=lambda outputs: accuracy(run.rule, outputs["scores"], radiographs.labels[compared]),
    )


def accuracy(rule: decision.Rule, scores: npt.NDArray[Any], labels: decision.Labels) -> float:
    """Return accuracy; with several findings, over all labels that are known.

    Args:
        rule: The decision rule.
        scores: (n, k) probabilities.
        labels: (n, k) float32 in {0, 1}, or NaN.
    """
    if isinstance(rule, decision.MultiLabelDecision):
        known = ~np.isnan(labels)
        return float(((scores >= rule.thresholds) == (labels > 0.5))[known].mean())
    return float((rule.predicted(scores) == labels.argmax(axis=1)).mean())


def endpoints(run: loaded_run.Run) -> dict[str, export.Endpoint]:
    """Return the signatures.

    ``serving_default`` takes ``image_bytes`` (batch,) string: JPEG or PNG; ``image`` takes (batch, height, width,
    channels) float32 in [0, 1], what DICOM files are decoded to; ``classify`` takes examples of files;
    ``explain`` returns a heat map of the class that it predicts; ``drift`` the columns of the drift check.
    ``preprocess`` and ``answer`` are what comes before and after the network, for engines that run only that.
    """
    size, channels, grey_bits = run.settings.image_size, run.settings.channels, run.grey_bits
    predict, explain_map = graph.predictions(run.model, run.rule), graph.explanation(run)

    def decode(image_bytes: Any) -> tuple[Any, Any]:
        return preprocessing.decode(image_bytes, size=size, channels=channels, grey_bits=grey_bits)

    def from_bytes(given: Any) -> Any:
        return predict(*decode(given["image_bytes"]))

    def from_image(given: Any) -> Any:
        squares = preprocessing.resize(given["image"], size=size, channels=channels)
        return predict(squares, tf.ones(tf.shape(squares)[:1], tf.bool))

    def columns(given: Any) -> Any:
        squares, valid = decode(given["image_bytes"])
        return graph.drift_columns(predict(squares, valid), squares, run.rule)

    def explain(given: Any) -> Any:
        return explain_map(*decode(given["image_bytes"]))

    def preprocess(given: Any) -> Any:
        squares, valid = decode(given["image_bytes"])
        return {"image": tf.cast(squares, tf.float32), "valid": valid}

    decided = graph.predictions(export.given_logits, run.rule)
    encoded = {"image_bytes": tf.TensorSpec([None], tf.string, "image_bytes")}
    decoded = {"image": tf.TensorSpec([None, None, None, channels], tf.float32, "image")}
    files = export.Endpoint(function=from_bytes, inputs=encoded)
    return {
        "serving_default": files,
        "classify": export.classifying(files, run.rule.class_names),
        "image": export.Endpoint(function=from_image, inputs=decoded),
        "drift": export.Endpoint(function=columns, inputs=encoded),
        "explain": export.Endpoint(function=explain, inputs=encoded),
        "preprocess": export.Endpoint(function=preprocess, inputs=encoded),
        "answer": export.Endpoint(
            function=lambda given: decided(given["logits"], given["valid"]),
            inputs={
                "logits": tf.TensorSpec([None, len(run.rule.class_names)], tf.float32, "logits"),
                "valid": tf.TensorSpec([None], tf.bool, "valid"),
            },
        ),
    }


def show(run: loaded_run.Run) -> formats.Display:
    """Return what the web page shows of the model."""
    several = isinstance(run.rule, decision.MultiLabelDecision)
    return formats.Display(
        title="Chest radiographs",
        input="image",
        threshold=None if isinstance(run.rule, decision.MultiLabelDecision) else run.rule.threshold,
        threshold_rule=f"{run.rule.rule}, for each finding" if several else run.rule.rule,
        class_names=run.rule.class_names,
        not_for="Not a medical device: not for diagnosis, triage or any decision about a patient.",
        synthetic=run.settings.data == ("chest-phantoms",),
    )


def golden(run: loaded_run.Run, items: list[Any]) -> export.Golden:
    """Return raw image files, awkward and then real ones, with what ``predict`` gives for them.

    A served page shows the last one as its example.
    """
    real = as_files(items).tolist()
    awkward = awkward_files(real[0])
    chosen = np.empty(GOLDEN_ROWS, object)
    chosen[:] = [*awkward, *itertools.islice(itertools.cycle(real), GOLDEN_ROWS - len(awkward))]
    return export.Golden(inputs={"image_bytes": chosen}, outputs=run.predictions(chosen.tolist()))


def as_files(items: list[Any]) -> npt.NDArray[np.object_]:
    """Return (n,) bytes: files as they are, grey values as PNG."""
    found = np.empty(len(items), object)
    found[:] = [item if isinstance(item, bytes) else preprocessing.encode(item) for item in items]
    return found


def awkward_files(real: bytes) -> list[bytes]:
    """Return what real traffic holds and a validation part does not: broken files, odd shapes and depths."""
    generator = np.random.default_rng(0)
    shapes = ((1, 1), (3, 700), (700, 3), (64, 64))
    odd = [preprocessing.encode(generator.random((*shape, 1))) for shape in shapes]
    colour, deep = (
        preprocessing.encode(generator.random((40, 50, 3))),
        preprocessing.encode(generator.random((40, 50, 1)), bits=16),
    )
    return [b"", b"not an image", real[: len(real) // 2], real, *odd, colour, deep]


def build_card(run: loaded_run.Run) -> model_card.ModelCard:
    """Return the model card of a finished run: what to know before relying on it, and whether it was evaluated."""
    settings = run.settings
    synthetic = settings.data == ("chest-phantoms",)
    said = model_card.ModelCard(
        name="medical_imaging",
        summary="Scores a chest radiograph with calibrated probabilities, and abstains. NOT A MEDICAL DEVICE."
        + (" Trained on simulated images: it knows nothing of patients." if synthetic else ""),
        details={
            "network": settings.backbone if settings.model == "transfer" else "residual CNN",
            "networks averaged": settings.networks,
            "parameters": f"{run.model.count_params():,}",
            "input": f"{settings.image_size} x {settings.image_size} pixels, {settings.channels} channel(s)",
            "training": _how_trained(settings),
        },
        intended_uses=[
            "Research, teaching, and auditing of data sets and methods.",
            "Sorting images for a radiologist's reading order in a study that was approved for it.",
        ],
        out_of_scope=[
            "Diagnosis, triage or any decision about a patient.",
            "Hospitals, devices, ages and views other than those of the training data: measure there first.",
            "Images that are not frontal chest radiographs: the model answers anyway.",
        ],
        factors=["sex", "age", "view", "site", "device marks", "exposure"],
        ethical_considerations=[
            "Labels of public sets are mined from reports or read by one person; some are wrong.",
            "A model may read who or where a patient is from an image; the report compares subgroups.",
        ],
        caveats=[
            "Probabilities are calibrated on validation images of the same source; elsewhere they may be too sure.",
            "A heat map shows where the score comes from, not that the reason is a medical one.",
        ],
    )
    return model_card.of_run(said, run.folder, settings.data)


def _how_trained(settings: config.Config) -> str:
    if settings.model != "transfer" or not settings.pretrained:
        return "from scratch"
    if settings.backbone == config.LITE:
        return "fine-tuned from ImageNet weights (Apache-2.0)"
    return f"fine-tuned from the published weights of {settings.backbone}, under their publisher's licence"
