"""Write a serving bundle and prove that it answers as the trained model does (DESIGN sections 1 and 4).

Everything is written to a hidden folder, reloaded in a clean process and replayed; only then does the folder get
its version number. A bundle that answers differently never appears.
"""

import dataclasses
import errno
import json
import logging
import pathlib
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from shared import decision as decisions
from shared import errors, files, machine
from shared.bundle import engine_export, signing
from shared.bundle import reading as bundle

TOLERANCE = 1e-5
WARM_UP_ROWS = (1, 8, 32)
CLASSIFY = "classify"
_CLASSIFY_METHOD = "tensorflow/serving/classify"
# An example holds bytes, int64 and float32 only; what is of another type travels as the nearest of them.
_TRAVELS = {tf.string: tf.string, tf.float32: tf.float32, tf.float64: tf.float32}

log = logging.getLogger("fieldnets")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A signature: a function of one mapping of input tensors, and those inputs' specs."""

    function: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    inputs: Mapping[str, tf.TensorSpec]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Golden:
    """Raw inputs and the outputs that ``predict`` gives for them, row by row."""

    inputs: Mapping[str, npt.NDArray[Any]]
    outputs: Mapping[str, npt.NDArray[Any]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exported:
    """A finished bundle: where it is, and the largest differences that its replay found."""

    path: pathlib.Path
    version: int
    parity: Mapping[str, float]


def given_logits(logits: Any, *, training: bool) -> Any:
    """Stand for a network where its logits are there already: in the signature ``answer``."""
    del training
    return logits


def traced(model: Any) -> Callable[[Any], Any]:
    """Return ``model`` without training as a function that is traced once for all endpoints of a bundle.

    A network of some hundred layers takes seconds to trace, and a bundle that holds it once is smaller.
    """
    # training=False: a layer that defaults to True would switch dropout on (DESIGN section 5).
    found: Callable[[Any], Any] = tf.function(lambda inputs: model(inputs, training=False))
    return found


def classifier(model: Any, decision: decisions.Decision) -> Callable[[Any], Mapping[str, Any]]:
    """Return ``decision`` as part of the graph behind ``model``'s logits.

    The function returns ``scores`` (n, classes) float32 calibrated probabilities, ``labels`` (n,) string, the
    answer without abstention, and ``decision`` (n,) string, the answer or ``abstain``.
    """
    names = tf.constant(decision.class_names)
    # A score is in the prediction set from 1 - quantile on; see shared.evaluation.conformal.
    set_threshold, network = np.float32(1.0 - decision.quantile), traced(model)

    def answer(inputs: Any) -> Mapping[str, Any]:
        logits = tf.cast(network(inputs), tf.float32)
        scores = tf.nn.softmax(logits / decision.temperature)
        labels = tf.gather(names, answered(scores, decision))
        set_size = tf.reduce_sum(tf.cast(scores >= set_threshold, tf.int32), axis=1)
        return {"scores": scores, "labels": labels, "decision": tf.where(set_size == 1, labels, decisions.ABSTAIN)}

    return answer


def answered(scores: Any, decision: decisions.Decision) -> Any:
    """Return (n,) int64, the class answered for ``scores`` (n, classes), abstention aside, as part of a graph."""
    if decision.threshold is None:
        return tf.argmax(scores, axis=1)
    return tf.cast(scores[:, -1] >= decision.threshold, tf.int64)


def compiled(endpoint: Endpoint) -> Callable[[Mapping[str, npt.ArrayLike]], dict[str, npt.NDArray[Any]]]:
    """Return an endpoint as a function of arrays: what ``bundle.Bundle.run`` will do with its signature."""
    run = tf.function(endpoint.function, input_signature=[dict(endpoint.inputs)])

    def ask(inputs: Mapping[str, npt.ArrayLike]) -> dict[str, npt.NDArray[Any]]:
        tensors = {name: tf.constant(values, endpoint.inputs[name].dtype) for name, values in inputs.items()}
        return {name: bundle.as_text(tensor.numpy()) for name, tensor in run(tensors).items()}

    return ask


def classifying(answer: Endpoint, class_names: Sequence[str]) -> Endpoint:
    """Return TF Serving's endpoint ``classify``: serialised ``tf.train.Example`` in, classes and scores out.

    Args:
        answer: ``serving_default``; its ``scores`` are (n, classes), or its ``score`` (n,) that of the last of two
            classes. Each of its inputs becomes a feature of the example, of the same name and of a fixed shape.
        class_names: One name per class.

    Returns:
        An endpoint of ``inputs`` (n,) string that returns ``classes`` (n, classes) string and ``scores`` (n, classes)
        float32.
    """
    specs, names = answer.inputs, tf.constant([list(class_names)])
    features = {
        name: tf.io.FixedLenFeature(spec.shape[1:], _TRAVELS.get(spec.dtype, tf.int64)) for name, spec in specs.items()
    }

    def classify(given: Mapping[str, Any]) -> Mapping[str, Any]:
        parsed = tf.io.parse_example(given["inputs"], features)
        said = answer.function({name: tf.cast(parsed[name], spec.dtype) for name, spec in specs.items()})
        scores = said["scores"] if "scores" in said else tf.stack([1.0 - said["score"], said["score"]], axis=1)
        return {"classes": tf.repeat(names, tf.shape(scores)[0], axis=0), "scores": tf.cast(scores, tf.float32)}

    return Endpoint(function=classify, inputs={"inputs": tf.TensorSpec([None], tf.string, "inputs")})


def write(  # noqa: PLR0913
    model: keras.Model,
    endpoints: Mapping[str, Endpoint],
    golden: Golden,
    *,
    repository: pathlib.Path,
    name: str,
    extras: Mapping[str, str | Mapping[str, Any]],
    input_names: Mapping[str, str] | None = None,
    core: engine_export.Core | None = None,
    smoke: bool = False,
) -> Exported:
    """Write ``<repository>/<name>/<next version>`` after proving that it answers as ``golden`` says.

    Args:
        model: The model whose weights and tables the endpoints use.
        endpoints: Signature name -> endpoint; ``serving_default`` among them.
        golden: Raw inputs of ``serving_default`` and their expected outputs; also the warm-up requests.
        repository: The model repository.
        name: The model's name.
        extras: Files for ``assets.extra``: text as it is, mappings as JSON.
        input_names: Input -> what the source calls it, where no tensor can have that name; kept in the manifest.
        core: What lies between the endpoints ``preprocess`` and ``answer``, and the engines to write of it.
        smoke: Whether the model is not for use, which the manifest then says.

    Raises:
        errors.GateError: The reloaded bundle or an engine answers differently; nothing is left behind.
        errors.InputError: Another process wrote a bundle of this version meanwhile.
    """
    model_folder = repository / name
    existing = bundle.versions(model_folder)
    version = int(existing[-1].name) + 1 if existing else 1
    model_folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=model_folder, prefix=bundle.UNFINISHED) as scratch,
        files.plainly_named(pathlib.Path(scratch)) as plain,
    ):
        folder = plain / str(version)
        log.info("writing the SavedModel of %s, version %d", name, version)
        _save(model, endpoints, folder)
        for filename, content in extras.items():
            _write_extra(folder / bundle.EXTRA / filename, content)
        files.write_json(folder / bundle.EXTRA / "golden.json", _golden_json(golden))
        _write_warm_up(folder / bundle.EXTRA / "tf_serving_warmup_requests", golden, name)
        if core is not None:
            log.info("writing and comparing %s", ", ".join(core.names))
            engine_export.write_all(folder, core, golden.inputs)
        about = {"name": name, "version": version, "input_names": dict(input_names or {}), "smoke": smoke}
        bundle.write_manifest(folder, about)
        signing.sign(folder)
        log.info("replaying the golden inputs in a clean process")
        parity = _replay_in_clean_process(folder)
        _take_number(pathlib.Path(scratch) / str(version), model_folder / str(version))
    return Exported(path=model_folder / str(version), version=version, parity=parity)


def _take_number(finished: pathlib.Path, path: pathlib.Path) -> None:
    try:
        finished.rename(path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        raise errors.InputError(
            f"{path}: expected a version number that is free. Received: one that another `export` took meanwhile; "
            "export again"
        ) from None


def _save(model: keras.Model, endpoints: Mapping[str, Endpoint], folder: pathlib.Path) -> None:
    archive = keras.export.ExportArchive()
    archive.track(model)
    for name, endpoint in endpoints.items():
        archive.add_endpoint(name, endpoint.function, input_signature=[dict(endpoint.inputs)])
    archive.write_out(str(folder), verbose=False)
    if CLASSIFY in endpoints:
        _declare_classify(str(folder))


def _declare_classify(folder: str) -> None:
    """Let a SavedModel say that its signature ``classify`` is one: TF Serving refuses to classify with another."""
    updater = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(folder)
    updater.replace_method_name(signature_key=CLASSIFY, method_name=_CLASSIFY_METHOD)
    updater.save()


def _write_extra(path: pathlib.Path, content: str | Mapping[str, Any]) -> None:
    if isinstance(content, str):
        files.write_text(path, content)
    else:
        files.write_json(path, content)


def _golden_json(golden: Golden) -> dict[str, Any]:
    return {
        "tolerance": TOLERANCE,
        "inputs": {name: bundle.encode(values) for name, values in golden.inputs.items()},
        "outputs": {name: bundle.encode(values) for name, values in golden.outputs.items()},
    }


def _write_warm_up(path: pathlib.Path, golden: Golden, name: str) -> None:
    """Write TF Serving's warm-up file: a TFRecord of PredictionLog, a few batch sizes of golden inputs."""
    from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

    with tf.io.TFRecordWriter(str(path)) as writer:
        for rows in WARM_UP_ROWS:
            inputs = {key: tf.make_tensor_proto(values[:rows].tolist()) for key, values in golden.inputs.items()}
            request = predict_pb2.PredictRequest(
                model_spec=model_pb2.ModelSpec(name=name, signature_name="serving_default"), inputs=inputs
            )
            record = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(record.SerializeToString())


def _replay_in_clean_process(folder: pathlib.Path) -> dict[str, float]:
    """Reload the bundle where nothing of this process can help it, and compare."""
    finished = subprocess.run(
        [*machine.python_command(bundle.__name__), str(folder.resolve())],
        env=machine.python_environment(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1"),
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode != 0:
        raise errors.GateError(f"export parity: {finished.stderr.strip().splitlines()[-1]}")
    parity: dict[str, float] = json.loads(finished.stdout.splitlines()[-1])
    return parity
