"""From a run to a serving bundle: an image file in; boxes, scores, classes and a decision out."""

import pathlib
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from apps.driving_perception import answers, card, frames, monitor, preprocessing, scoring
from apps.driving_perception.readers import sources
from shared import export
from shared.evaluation import drift
from shared.report import model_card
from shared.serving import display

NAME = "driving_perception"
GOLDEN_ROWS = 24
# Rows of the drift reference: enough for its quantiles, few enough to look at in half a minute.
REFERENCE_ROWS = 400


def export_run(
    run: scoring.Run, collection: frames.Frames, rows: npt.NDArray[np.int64], repository: pathlib.Path
) -> export.Exported:
    """Write a checked bundle.

    Args:
        run: The finished run.
        collection: The run's own images.
        rows: Its validation part: golden inputs are drawn from it, and it is the drift reference.
        repository: The model repository.

    Raises:
        errors.GateError: The reloaded bundle answers otherwise than ``predict``.
    """
    chosen = np.random.default_rng(run.settings.seed).permutation(rows)[:REFERENCE_ROWS]
    items = [scoring.as_file(collection.images.read(int(row))) for row in chosen]
    signatures = endpoints(run)
    return export.write(
        run.model,
        signatures,
        golden(run, items),
        repository=repository,
        name=NAME,
        extras={
            "decision.json": {**run.operating.to_json(), "region": vars(run.rule.region)},
            "drift_reference.json": drift.reference(monitor.measure(export.compiled(signatures["drift"]), items)),
            display.FILE: show(run).to_json(run.folder.evaluation / "metrics.json"),
            "model_card.md": model_card.render(card.build(run)),
        },
    )


def endpoints(run: scoring.Run) -> dict[str, export.Endpoint]:
    """Return the signatures.

    ``serving_default`` takes ``image_bytes`` (batch,) string: JPEG or PNG of any size; ``image`` takes (batch, height,
    width, 3) float32 in [0, 1]; both answer as ``answers.decide``, from the threshold on. ``all_boxes`` answers files
    as ``answers.graph``, down to its least score, which average precision needs; ``drift`` gives what drift is judged
    on. Boxes explain themselves.
    """
    size, rule = run.settings.image_size, run.rule
    look = answers.graph(run.model, run.settings)

    def decoded(given: Any) -> tuple[Any, Any, Any]:
        return preprocessing.decode(given["image_bytes"], image_size=size)

    def answer(canvases: Any, geometry: Any, valid: Any) -> Any:
        return answers.decide(look(canvases, geometry, valid), geometry, valid, rule)

    def from_bytes(given: Any) -> Any:
        return answer(*decoded(given))

    def from_image(given: Any) -> Any:
        return answer(*preprocessing.place_all(given["image"], image_size=size))

    def all_boxes(given: Any) -> Any:
        return look(*decoded(given))

    def columns(given: Any) -> Any:
        seen = decoded(given)
        return monitor.columns(answer(*seen), *seen)

    encoded = {"image_bytes": tf.TensorSpec([None], tf.string, "image_bytes")}
    pixels = {"image": tf.TensorSpec([None, None, None, preprocessing.CHANNELS], tf.float32, "image")}
    return {
        "serving_default": export.Endpoint(function=from_bytes, inputs=encoded),
        "image": export.Endpoint(function=from_image, inputs=pixels),
        "all_boxes": export.Endpoint(function=all_boxes, inputs=encoded),
        "drift": export.Endpoint(function=columns, inputs=encoded),
    }


def show(run: scoring.Run) -> display.Display:
    """Return what a page says of the model."""
    return display.Display(
        title="Obstacles on the road",
        input="image",
        threshold=run.operating.threshold,
        threshold_rule=run.operating.rule,
        class_names=run.operating.class_names,
        not_for="Not a safety component: not for steering, braking or warning in a vehicle.",
        synthetic=run.settings.data == (sources.SCENES,),
    )


def golden(run: scoring.Run, items: list[bytes]) -> export.Golden:
    """Return raw image files, awkward and real ones, with the answers that ``predict`` gives."""
    awkward = awkward_files(items[0])
    chosen = np.empty(GOLDEN_ROWS, object)
    chosen[:] = [(awkward + items)[row % (len(awkward) + len(items))] for row in range(GOLDEN_ROWS)]
    return export.Golden(inputs={"image_bytes": chosen}, outputs=run.say(chosen.tolist()))


def awkward_files(real: bytes) -> list[bytes]:
    """Return what real traffic holds and a validation part does not: broken files, odd shapes, grey and deep images."""
    generator = np.random.default_rng(0)
    shapes = ((1, 1, 3), (3, 700, 3), (700, 3, 3), (40, 50, 3))
    odd = [scoring.as_file(generator.integers(0, 256, shape, np.uint8)) for shape in shapes]
    grey = tf.io.encode_png(generator.integers(0, 256, (60, 80, 1), np.uint8)).numpy()
    deep = tf.io.encode_png(generator.integers(0, 65536, (60, 80, 3), np.uint16)).numpy()
    return [b"", b"not an image", real[: len(real) // 2], real, *odd, grey, deep]
