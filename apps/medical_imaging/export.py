"""From a run to a serving bundle: an image file in; scores, label and decision out."""

import pathlib
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from apps.medical_imaging import answers, card, data, monitor, preprocessing, scoring
from shared import export
from shared.evaluation import drift
from shared.report import model_card

NAME = "medical_imaging"
GOLDEN_ROWS = 32
# Rows of the drift reference: enough for its quantiles, few enough to decode in seconds.
REFERENCE_ROWS = 2000


def export_run(
    run: scoring.Run, radiographs: data.Radiographs, rows: npt.NDArray[np.int64], repository: pathlib.Path
) -> export.Exported:
    """Write a checked bundle.

    Args:
        run: The finished run.
        radiographs: The run's own images.
        rows: Its validation part: golden inputs are drawn from it, and it is the drift reference.
        repository: The model repository.

    Raises:
        errors.GateError: The reloaded bundle answers otherwise than ``predict``.
    """
    chosen = np.random.default_rng(run.settings.seed).permutation(rows)[:REFERENCE_ROWS]
    items = [radiographs.images.read(int(row)) for row in chosen]
    return export.write(
        run.model,
        endpoints(run),
        golden(run, items),
        repository=repository,
        name=NAME,
        extras={
            "decision.json": run.rule.to_json(),
            "drift_reference.json": drift.reference(reference_columns(run, items)),
            "model_card.md": model_card.render(card.build(run)),
        },
    )


def endpoints(run: scoring.Run) -> dict[str, export.Endpoint]:
    """Return the signatures.

    ``serving_default`` takes ``image_bytes`` (batch,) string: JPEG or PNG; ``image`` takes (batch, height, width,
    channels) float32 in [0, 1], what DICOM files are decoded to; ``classify`` takes examples of files;
    ``statistics`` gives what drift is judged on.
    """
    size, channels = run.settings.image_size, run.settings.channels
    answer = answers.graph(run.model, run.rule)

    def from_bytes(given: Any) -> Any:
        return answer(*preprocessing.decode(given["image_bytes"], size=size, channels=channels))

    def from_image(given: Any) -> Any:
        squares = preprocessing.resize(given["image"], size=size, channels=channels)
        return answer(squares, tf.ones(tf.shape(squares)[:1], tf.bool))

    def statistics(given: Any) -> Any:
        return monitor.statistics(*preprocessing.decode(given["image_bytes"], size=size, channels=channels))

    encoded = {"image_bytes": tf.TensorSpec([None], tf.string, "image_bytes")}
    decoded = {"image": tf.TensorSpec([None, None, None, channels], tf.float32, "image")}
    files = export.Endpoint(function=from_bytes, inputs=encoded)
    return {
        "serving_default": files,
        "classify": export.classifying(files, run.rule.class_names),
        "image": export.Endpoint(function=from_image, inputs=decoded),
        "statistics": export.Endpoint(function=statistics, inputs=encoded),
    }


def reference_columns(run: scoring.Run, items: list[Any]) -> dict[str, npt.NDArray[Any]]:
    """Return the drift columns of images that the model was not trained on."""
    squares, valid = preprocessing.load(items, size=run.settings.image_size, channels=run.settings.channels)
    measured = {name: values.numpy() for name, values in monitor.statistics(squares, valid).items()}
    said = answers.say(run.rule, run.logits(squares), valid)
    return monitor.columns(said | measured, several=run.task == "multi_label")


def golden(run: scoring.Run, items: list[Any]) -> export.Golden:
    """Return raw image files, awkward and real ones, with the answers that ``predict`` gives."""
    real = [item if isinstance(item, bytes) else preprocessing.encode(item) for item in items]
    awkward = awkward_files(real[0])
    chosen = np.empty(GOLDEN_ROWS, object)
    chosen[:] = [(awkward + real)[row % (len(awkward) + len(real))] for row in range(GOLDEN_ROWS)]
    return export.Golden(inputs={"image_bytes": chosen}, outputs=run.say(chosen.tolist()))


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
