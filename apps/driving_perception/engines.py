"""The network alone as ONNX or LiteRT, for small computers: written only if it finds what the trained network finds.

What is written maps one canvas to the logits and sides of each grid, before ``model.Places`` turns them into boxes:
in 8 bits, coordinates of hundreds of pixels and logits cannot share a scale. Scaling the image before, and places and
suppression after, are as in ``preprocessing.place``, ``model.Places`` and ``decoding.boxes``; ``engine.json`` says
all numbers they need.
"""

import dataclasses
import importlib.util
import logging
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.python.framework import convert_to_constants

from apps.driving_perception import canvas, decoding, detections, frames, model, preprocessing, scoring
from apps.driving_perception.scores import coco
from shared import errors, files

log = logging.getLogger("fieldnets")

FORMATS = ("onnx", "litert")
FILES = {"onnx": "network.onnx", "litert": "network.tflite"}
HEADS = tuple(f"{name}_{stride}" for stride in model.STRIDES for name in ("logits", "sides"))
_NEEDED = {"onnx": ("onnx", "tf2onnx", "onnxruntime"), "litert": ("ai_edge_litert",)}
OPSET = 17
# Average precision at 0.5 that an engine may lose against the trained network, on validation.
MOST_LOST = 0.005
CALIBRATION_IMAGES = 64
JUDGED_IMAGES = 200
TIMED_IMAGES = 40

Picture: TypeAlias = npt.NDArray[np.float32]
Heads: TypeAlias = list[Picture]
Network: TypeAlias = Callable[[Picture], Heads]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Written:
    """A finished engine.

    Attributes:
        path: Its folder.
        parity: ``map_50`` of the trained network and of the engine on validation, and the largest difference of a
            score.
        milliseconds: Median time of the network alone on one canvas: of TensorFlow's graph and of the engine.
    """

    path: pathlib.Path
    parity: dict[str, float]
    milliseconds: dict[str, float]


def write(
    run: scoring.Run,
    collection: frames.Frames,
    *,
    validation: npt.NDArray[np.int64],
    training: npt.NDArray[np.int64],
    engine: str,
    int8: bool,
    folder: pathlib.Path,
) -> Written:
    """Convert the network, compare it on validation images, and give it its name.

    Args:
        run: The finished run.
        collection: The run's own images.
        validation: Rows to compare on.
        training: Rows to calibrate 8-bit numbers on.
        engine: One of ``FORMATS``.
        int8: Whether weights and activations become 8-bit.
        folder: The model repository; ``driving_perception-<engine>[-int8]`` is made in it.

    Raises:
        errors.InputError: A package that the format needs is not installed, or the folder exists.
        errors.GateError: The engine loses more than ``MOST_LOST``; nothing is left behind.
    """
    _require(engine)
    target = folder / f"driving_perception-{engine}{'-int8' if int8 else ''}"
    if target.exists():
        raise errors.InputError(f"{target}: expected a new folder. Received: one that exists")
    judged = validation[:JUDGED_IMAGES]
    shape = usual_shape(collection, judged, run.settings.image_size)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".engine-") as scratch:
        unfinished = pathlib.Path(scratch) / target.name
        unfinished.mkdir()
        path = unfinished / FILES[engine]
        calibration = training[: CALIBRATION_IMAGES if int8 else 0]
        samples = [picture for picture, _ in _placed(run, collection, calibration, shape)]
        convert(run.model, path, engine=engine, shape=shape, samples=samples or None)
        fixed = shape if engine == "litert" or int8 else None
        parity, milliseconds = compare(run, collection, judged, load(path, engine), shape=fixed)
        if not parity["map_50_lost"] <= MOST_LOST:
            raise errors.GateError(
                f"export to {engine}{' int8' if int8 else ''}: expected to lose at most {MOST_LOST} of map_50 on "
                f"validation. Received: {parity['map_50']:.4f} instead of {parity['map_50_trained']:.4f}"
            )
        files.write_json(unfinished / "engine.json", _about(run, engine, fixed, parity, milliseconds))
        unfinished.rename(target)
    return Written(path=target, parity=parity, milliseconds=milliseconds)


def load(path: pathlib.Path, engine: str, *, threads: int | None = None) -> Network:
    """Return the network of a file: (1, height, width, 3) float32 in [0, 255] to ``HEADS``, (1, h, w, classes or 4)."""
    if engine == "onnx":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads or 0
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return lambda picture: session.run(list(HEADS), {name: picture})
    from ai_edge_litert import interpreter

    found = interpreter.Interpreter(
        model_path=str(path), num_threads=threads or tf.config.threading.get_intra_op_parallelism_threads() or 2
    )
    found.allocate_tensors()
    given = found.get_input_details()[0]["index"]
    outputs = dict(zip(names(engine), (each["index"] for each in found.get_output_details()), strict=True))

    def run(picture: Picture) -> Heads:
        found.set_tensor(given, picture)
        found.invoke()
        return [np.asarray(found.get_tensor(outputs[name]), np.float32) for name in HEADS]

    return run


def names(engine: str) -> tuple[str, ...]:
    """Return the names of a file's outputs in their order; LiteRT keeps the order only, which is the alphabet's."""
    return HEADS if engine == "onnx" else tuple(sorted(HEADS))


def usual_shape(collection: frames.Frames, rows: npt.NDArray[np.int64], image_size: int) -> tuple[int, int]:
    """Return the height and width of the canvas that most images have."""
    shapes = [
        canvas.shape(int(width), int(height), image_size=image_size) for width, height in collection.images.sizes[rows]
    ]
    return max(set(shapes), key=shapes.count)


def compare(
    run: scoring.Run,
    collection: frames.Frames,
    rows: npt.NDArray[np.int64],
    network: Network,
    *,
    shape: tuple[int, int] | None,
) -> tuple[dict[str, float], dict[str, float]]:
    """Look at images with the trained network and with an engine.

    Args:
        run: The finished run.
        collection: The images.
        rows: Those to look at.
        network: The engine.
        shape: Height and width of its only canvas, into which every image is then fitted; None: it takes any.

    Returns:
        ``map_50_trained``, ``map_50``, ``map_50_lost`` and ``score_difference`` (mean over images of the difference of
        the best score); and the median milliseconds of ``tensorflow`` and of the ``engine``.
    """
    heads = cut(run.model)

    @tf.function(input_signature=[tf.TensorSpec([1, None, None, 3], tf.float32)])  # type: ignore[untyped-decorator]
    def graph(picture: Any) -> Any:
        return heads(picture, training=False)

    def trained(picture: Picture) -> Heads:
        return [head.numpy() for head in graph(picture)]

    part = collection.take(rows)
    found: dict[str, detections.Detections] = {}
    seconds: dict[str, float] = {}
    for name, look, own in (("tensorflow", trained, None), ("engine", network, shape)):
        found[name], seconds[name] = _look(run, part, look, own)
    values = {name: coco.map_50(coco.match_frames(part, each)) for name, each in found.items()}
    best = {name: _best_scores(each, len(part)) for name, each in found.items()}
    return {
        "map_50_trained": values["tensorflow"],
        "map_50": values["engine"],
        "map_50_lost": values["tensorflow"] - values["engine"],
        "score_difference": float(np.abs(best["tensorflow"] - best["engine"]).mean()),
        "images": len(part),
    }, {name: 1000 * value for name, value in seconds.items()}


def _look(
    run: scoring.Run, part: frames.Frames, network: Network, shape: tuple[int, int] | None
) -> tuple[detections.Detections, float]:
    """Return the boxes in original pixels, and the median seconds that the network takes."""
    settings, answers, seconds = run.settings, [], []
    for picture, geometry in _placed(run, part, np.arange(len(part)), shape):
        started = time.perf_counter()
        heads = network(picture)
        seconds.append(time.perf_counter() - started)
        places = places_of(run.model, heads)
        size = geometry[np.newaxis, preprocessing.FILLED].astype(np.float32)
        seen = decoding.boxes(places, size, most=settings.most_detections, overlap=settings.suppression_overlap)
        factor = (geometry[preprocessing.ORIGINAL] / geometry[preprocessing.FILLED])[::-1]
        answers.append({**seen, "boxes": seen["boxes"].numpy() * np.tile(factor, 2)})
    # The first ones pay for tracing.
    return scoring.flat(answers), float(np.median(seconds[-TIMED_IMAGES:]))


def _placed(
    run: scoring.Run, part: frames.Frames, rows: npt.NDArray[np.int64], shape: tuple[int, int] | None
) -> Iterator[tuple[Picture, npt.NDArray[np.int64]]]:
    """Yield canvases (1, height, width, 3) in [0, 255] and their geometry; of one shape where one is given."""
    for row in rows:
        image = tf.image.convert_image_dtype(part.images.decode(int(row)), tf.float32)
        if shape is None:
            picture, geometry = preprocessing.place(image, image_size=run.settings.image_size)
            yield picture.numpy()[np.newaxis].astype(np.float32), geometry.numpy().astype(np.int64)
            continue
        height, width = image.shape[:2]
        factor = min(shape[0] / height, shape[1] / width)
        filled = [min(max(round(side * factor), 1), limit) for side, limit in zip((height, width), shape, strict=True)]
        resized = np.round(tf.image.resize(image, filled, antialias=True).numpy().clip(0, 1) * 255)
        whole = np.full((1, *shape, 3), canvas.GREY, np.float32)
        whole[0, : filled[0], : filled[1]] = resized
        yield whole, np.array([*filled, *shape, height, width], np.int64)


def cut(network: keras.Model) -> keras.Model:
    """Return the network up to the logits and sides of its grids, in the order of ``HEADS``."""
    grids = [network.get_layer(f"places_{number}") for number in range(len(model.STRIDES))]
    tensors = [tensor for grid in grids for tensor in grid.input]
    return keras.Model(network.input, tensors)


def places_of(network: keras.Model, heads: Heads) -> Picture:
    """Return the places (1, n, classes + 7) of the logits and sides of all grids."""
    grids = [network.get_layer(f"places_{number}") for number in range(len(model.STRIDES))]
    parts = [grid([tf.constant(heads[2 * i]), tf.constant(heads[2 * i + 1])]) for i, grid in enumerate(grids)]
    return np.concatenate([part.numpy() for part in parts], axis=1)


def _best_scores(found: detections.Detections, images: int) -> npt.NDArray[np.float64]:
    best = np.zeros(images)
    np.maximum.at(best, found.image, found.score)
    return best


def convert(
    network: keras.Model,
    path: pathlib.Path,
    *,
    engine: str,
    shape: tuple[int, int],
    samples: list[Picture] | None = None,
) -> None:
    """Write the heads of a network as one file.

    Args:
        network: As ``model.build`` returns it.
        path: The file.
        engine: One of ``FORMATS``.
        shape: Height and width of the canvas; float ONNX takes any.
        samples: Canvases of that shape to calibrate 8-bit numbers on; None: floats.
    """
    sides = [None, None] if engine == "onnx" and samples is None else list(shape)
    spec = tf.TensorSpec([1, *sides, 3], tf.float32, name="image")
    heads = cut(network)

    @tf.function(input_signature=[spec])  # type: ignore[untyped-decorator]
    def graph(image: Any) -> Any:
        return dict(zip(HEADS, heads(image, training=False), strict=True))

    if engine == "onnx":
        _to_onnx(graph, spec, path, samples)
    else:
        _to_litert(graph, path, samples)


def _to_onnx(network: Any, spec: Any, path: pathlib.Path, samples: list[Picture] | None) -> None:
    import onnx
    import tf2onnx

    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    tf2onnx.convert.from_function(network, input_signature=[spec], opset=OPSET, output_path=str(path))
    if samples is None:
        return
    from onnxruntime import quantization
    from onnxruntime.quantization import shape_inference

    left = iter(samples)

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, Picture] | None:
            picture = next(left, None)
            return None if picture is None else {"image": picture}

    prepared = path.with_suffix(".prepared.onnx")
    shape_inference.quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
    quantization.quantize_static(
        str(prepared),
        str(path),
        Reader(),
        per_channel=True,
        op_types_to_quantize=["Conv"],
        activation_type=quantization.QuantType.QUInt8,
        # The first and the last convolutions stand for the picture and the answer themselves.
        nodes_to_exclude=[node.name for node in onnx.load(str(prepared)).graph.node if _delicate(node.name)],
        quant_format=quantization.QuantFormat.QDQ,
    )
    prepared.unlink()


def _delicate(name: str) -> bool:
    return any(part in name for part in ("/stem", "/logits", "/sides"))


def _to_litert(network: Any, path: pathlib.Path, samples: list[Picture] | None) -> None:
    # Weights become constants first: LiteRT does not initialise the variables of a Keras network.
    frozen = convert_to_constants.convert_variables_to_constants_v2(network.get_concrete_function())
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
    if samples is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([picture] for picture in samples)
    path.write_bytes(converter.convert())


def _about(
    run: scoring.Run,
    engine: str,
    shape: tuple[int, int] | None,
    parity: dict[str, float],
    milliseconds: dict[str, float],
) -> dict[str, Any]:
    settings = run.settings
    return {
        "engine": engine,
        "input": {
            "name": "image",
            "shape": [1, *(shape or (-1, -1)), 3],
            "range": [0, 255],
            "colours": "red, green, blue",
        },
        "outputs": {
            "names": list(names(engine)),
            "strides": list(model.STRIDES),
            "factors": [float(run.model.get_layer(f"places_{i}").factor.numpy()) for i in range(len(model.STRIDES))],
            "meaning": "score = sigmoid(logit); the place of row j and column i is ((i + 0.5) * stride, "
            "(j + 0.5) * stride); left, top, right, bottom lie exp(clip(side * factor, -8, 8)) * stride pixels of the "
            "canvas from it",
        },
        "canvas": {
            "image_size": settings.image_size,
            "multiple_of": canvas.STRIDE,
            "longest": canvas.LONGEST,
            "padding_grey": canvas.GREY,
        },
        "suppression_overlap": settings.suppression_overlap,
        "most_detections": settings.most_detections,
        "decision": {**run.operating.to_json(), "region": vars(run.rule.region)},
        "parity": parity,
        "milliseconds": milliseconds,
    }


def missing(engine: str) -> list[str]:
    """Return the packages that a format needs and that are not installed."""
    return [name for name in _NEEDED[engine] if importlib.util.find_spec(name) is None]


def _require(engine: str) -> None:
    if missing(engine):
        raise errors.InputError(
            f"--format {engine}: expected the extra `engines` (pip install 'fieldnets[engines]'). Received: no "
            f"{', '.join(missing(engine))}"
        )
