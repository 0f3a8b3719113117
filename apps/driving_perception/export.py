"""From a run to a serving bundle, with its model card: an image file in; boxes, scores, classes and a decision out."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from apps.driving_perception import coco_metrics, evaluate_run, frames, monitor, predictions, preprocessing
from apps.driving_perception import run as loaded_run
from apps.driving_perception.readers import sources
from shared import resources, splits
from shared.bundle import engine_export, export, formats
from shared.evaluation import drift
from shared.report import metrics, model_card

NAME = "driving_perception"
GOLDEN_ROWS = 24
# Rows of the drift reference: enough for its quantiles, few enough to look at in half a minute.
REFERENCE_ROWS = 400
# Images of validation that engines are compared on.
COMPARED_ROWS = 200


def export_run(
    run: loaded_run.Run,
    collection: frames.Frames,
    split: splits.Split,
    repository: pathlib.Path,
    *,
    engines: Sequence[str] = (),
) -> export.Exported:
    """Write a checked bundle.

    Args:
        run: The finished run.
        collection: The run's own images.
        split: Their parts: golden inputs are drawn from validation, which is also the drift reference.
        repository: The model repository.
        engines: Those to write beside the SavedModel, such as ``litert-int8``.

    Raises:
        errors.GateError: The reloaded bundle's outputs differ from ``predict``, or an engine finds less.
    """
    chosen = np.random.default_rng(run.settings.seed).permutation(split.rows("validation"))[:REFERENCE_ROWS]
    items = [frames.as_file(collection.images.read(int(row))) for row in chosen]
    signatures = endpoints(run)
    return export.write(
        run.model,
        signatures,
        golden(run, items),
        repository=repository,
        name=NAME,
        smoke=resources.is_smoke(run.folder),
        extras={
            "decision.json": {**run.rule.to_json(), "region": vars(run.region)},
            "drift_reference.json": drift.reference(monitor.columns_of(export.compiled(signatures["drift"]), items)),
            formats.DISPLAY_FILE: show(run).to_json(metrics.of_run(run.folder)),
            "model_card.md": model_card.render(model_card_of(run)),
        },
        core=core(run, collection, split, engines) if engines else None,
    )


def core(
    run: loaded_run.Run, collection: frames.Frames, split: splits.Split, names: Sequence[str]
) -> engine_export.Core:
    """Return what other engines run, and the images that they are calibrated and compared on."""
    generator = np.random.default_rng(run.settings.seed)
    compared = collection.take(generator.permutation(split.rows("validation"))[:COMPARED_ROWS])
    training = collection.take(generator.permutation(split.rows("train"))[: engine_export.CALIBRATION_ROWS])
    return engine_export.Core(
        network=predictions.cut_at_grids(run.model),
        names=names,
        validation=as_files(compared),
        training=as_files(training),
        metric=lambda found: coco_metrics.map_50(coco_metrics.match_frames(compared, predictions.flat([found]))),
        metric_signature="all_boxes",
        exact=False,
        sizes="sizes",
        usage=predictions.usage_of_grids(run.model, run.settings),
    )


def as_files(collection: frames.Frames) -> dict[str, npt.NDArray[np.object_]]:
    """Return the images as the bundle takes them: ``image_bytes`` (n,)."""
    found = np.empty(len(collection), object)
    found[:] = [frames.as_file(collection.images.read(row)) for row in range(len(collection))]
    return {"image_bytes": found}


def endpoints(run: loaded_run.Run) -> dict[str, export.Endpoint]:
    """Return the signatures.

    ``serving_default`` takes ``image_bytes`` (batch,) string: JPEG or PNG of any size; ``image`` takes (batch, height,
    width, 3) float32 in [0, 1]; both return what ``predictions.decide`` does, from the threshold on. ``all_boxes``
    returns for files what ``predictions.graph`` does, down to its least score, which average precision needs; ``drift``
    gives what is monitored. ``preprocess``, and ``answer`` and ``answer_all_boxes``, are what comes before and after
    the network for engines that run only that. Boxes explain themselves.
    """
    size, rule, region = run.settings.image_size, run.rule, run.region
    look, look_at_grids = predictions.graph(run.model, run.settings), predictions.of_grids(run.model, run.settings)

    def decoded(given: Any) -> tuple[Any, Any, Any]:
        return preprocessing.decode(given["image_bytes"], image_size=size)

    def predict(canvases: Any, geometry: Any, valid: Any) -> Any:
        return predictions.decide(look(canvases, geometry, valid), geometry, valid, rule=rule, region=region)

    def from_bytes(given: Any) -> Any:
        return predict(*decoded(given))

    def from_image(given: Any) -> Any:
        return predict(*preprocessing.place_all(given["image"], image_size=size))

    def all_boxes(given: Any) -> Any:
        return look(*decoded(given))

    def columns(given: Any) -> Any:
        seen = decoded(given)
        return monitor.columns(predict(*seen), *seen)

    def preprocess(given: Any) -> Any:
        canvases, geometry, valid = decoded(given)
        padded, sides = preprocessing.roomy(canvases, geometry)
        return {
            "image": tf.cast(padded, tf.float32),
            "sizes": sides[:, preprocessing.WHOLE],
            "geometry": geometry,
            "valid": valid,
        }

    def all_of_grids(given: Mapping[str, Any]) -> Any:
        return look_at_grids({name: given[name] for name in predictions.GRIDS}, given["geometry"], given["valid"])

    def of_grids(given: Mapping[str, Any]) -> Any:
        return predictions.decide(all_of_grids(given), given["geometry"], given["valid"], rule=rule, region=region)

    encoded = {"image_bytes": tf.TensorSpec([None], tf.string, "image_bytes")}
    pixels = {"image": tf.TensorSpec([None, None, None, preprocessing.CHANNELS], tf.float32, "image")}
    widths = {"logits": len(run.rule.class_names), "sides": 4}
    grids = {
        **{
            name: tf.TensorSpec([None, None, None, widths[name.split("_")[0]]], tf.float32, name)
            for name in predictions.GRIDS
        },
        "geometry": tf.TensorSpec([None, 6], tf.int32, "geometry"),
        "valid": tf.TensorSpec([None], tf.bool, "valid"),
    }
    return {
        "serving_default": export.Endpoint(function=from_bytes, inputs=encoded),
        "image": export.Endpoint(function=from_image, inputs=pixels),
        "all_boxes": export.Endpoint(function=all_boxes, inputs=encoded),
        "drift": export.Endpoint(function=columns, inputs=encoded),
        "preprocess": export.Endpoint(function=preprocess, inputs=encoded),
        "answer": export.Endpoint(function=of_grids, inputs=grids),
        "answer_all_boxes": export.Endpoint(function=all_of_grids, inputs=grids),
    }


def show(run: loaded_run.Run) -> formats.Display:
    """Return what a page says of the model."""
    return formats.Display(
        title="Obstacles on the road",
        input="image",
        threshold=run.rule.threshold,
        threshold_rule=run.rule.rule,
        class_names=run.rule.class_names,
        not_for="Not a safety component: not for steering, braking or warning in a vehicle.",
        synthetic=run.settings.data == (sources.SCENES,),
    )


def golden(run: loaded_run.Run, items: list[bytes]) -> export.Golden:
    """Return raw image files, awkward and real ones, with the outputs of ``predict``."""
    awkward = awkward_files(items[0])
    chosen = np.empty(GOLDEN_ROWS, object)
    chosen[:] = [(awkward + items)[row % (len(awkward) + len(items))] for row in range(GOLDEN_ROWS)]
    return export.Golden(inputs={"image_bytes": chosen}, outputs=run.predict(chosen.tolist()))


def awkward_files(real: bytes) -> list[bytes]:
    """Return what real traffic holds and a validation part does not: broken files, odd shapes, grey and deep images."""
    generator = np.random.default_rng(0)
    shapes = ((1, 1, 3), (3, 700, 3), (700, 3, 3), (40, 50, 3))
    odd = [frames.as_file(generator.integers(0, 256, shape, np.uint8)) for shape in shapes]
    grey = tf.io.encode_png(generator.integers(0, 256, (60, 80, 1), np.uint8)).numpy()
    deep = tf.io.encode_png(generator.integers(0, 65536, (60, 80, 3), np.uint16)).numpy()
    return [b"", b"not an image", real[: len(real) // 2], real, *odd, grey, deep]


def model_card_of(run: loaded_run.Run) -> model_card.ModelCard:
    """Return what a user must know before relying on the model; it says so when the run has not been evaluated."""
    settings = run.settings
    synthetic = sources.SCENES in settings.data
    said = model_card.ModelCard(
        name="driving_perception",
        summary="Finds obstacles on the road: a box, a class and a score each. NOT A SAFETY COMPONENT."
        + (" Trained on rendered scenes: it knows nothing of real roads." if synthetic else ""),
        details=evaluate_run.details(run),
        intended_uses=[
            "Research, teaching, and auditing of data sets and detectors.",
            "Looking through recordings for scenes with obstacles; pre-labelling that people check.",
        ],
        out_of_scope=[
            "Steering, braking or warning in a vehicle.",
            "Cameras, countries, weather and light other than those of the training data: evaluate there first.",
            "Obstacles of classes that it does not know: it does not see them.",
        ],
        factors=["distance and size", "occlusion and truncation", "time of day", "weather", "camera"],
        ethical_considerations=[
            "People are found less surely than cars where training shows fewer of them; the report says how much.",
            "Road images show faces and number plates: whoever records them is responsible for that.",
        ],
        caveats=[
            "The threshold was chosen on validation images of the same sources; elsewhere it gives other false alarms.",
            "The decision for an image looks at a fixed trapezoid, which knows no bends and no speed.",
        ],
    )
    return model_card.of_run(said, run.folder, settings.data)
