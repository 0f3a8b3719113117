"""The bundle behind TensorFlow Serving's own protocol: gRPC PredictionService, warm-up file, operations.

The binary is not to be had from the package registries. This drives a service made from its protocol buffers, which
runs the SavedModel as the binary does: graph, tags and signature definitions in a session of stock TensorFlow, none of
our Python. It shows that requests of its clients and the warm-up records are answered as the golden file says; not how
the binary schedules them, nor that a binary older than the TensorFlow that exported knows every operation.
"""

import concurrent.futures
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import grpc
import numpy as np
import pytest

from shared import files
from shared.bundle import reading as bundle

pytestmark = pytest.mark.tensorflow

TIMEOUT_SECONDS = 60


@pytest.fixture(scope="module")
def stub(bundle_path: pathlib.Path) -> Iterator[Any]:
    """A client of a PredictionService over the bundle."""
    import tensorflow as tf
    from tensorflow_serving.apis import (
        classification_pb2,
        get_model_metadata_pb2,
        predict_pb2,
        prediction_service_pb2_grpc,
    )

    session = tf.compat.v1.Session(graph=tf.Graph())
    signatures = tf.compat.v1.saved_model.load(session, ["serve"], str(bundle_path)).signature_def

    def run(name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        signature = signatures[name or "serving_default"]
        fetched = {key: value.name for key, value in signature.outputs.items()}
        fed = {signature.inputs[key].name: value for key, value in inputs.items()}
        found: dict[str, Any] = session.run(fetched, fed)
        return found

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]
        def Predict(self, request: Any, _context: Any) -> Any:  # noqa: N802 (the protocol's name)
            inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
            outputs = run(request.model_spec.signature_name, inputs)
            protos = {name: tf.make_tensor_proto(value) for name, value in outputs.items()}
            return predict_pb2.PredictResponse(model_spec=request.model_spec, outputs=protos)

        def Classify(self, request: Any, _context: Any) -> Any:  # noqa: N802
            examples = [example.SerializeToString() for example in request.input.example_list.examples]
            outputs = run(request.model_spec.signature_name, {"inputs": examples})
            response = classification_pb2.ClassificationResponse(model_spec=request.model_spec)
            for labels, scores in zip(outputs["classes"], outputs["scores"], strict=True):
                row = response.result.classifications.add()
                for label, score in zip(labels, scores, strict=True):
                    row.classes.add(label=label, score=score)
            return response

        def GetModelMetadata(self, request: Any, _context: Any) -> Any:  # noqa: N802
            response = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=request.model_spec)
            named = get_model_metadata_pb2.SignatureDefMap(signature_def=signatures)
            response.metadata["signature_def"].Pack(named)
            return response

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)
    server.stop(None).wait()
    session.close()


@pytest.fixture(scope="module")
def golden(bundle_path: pathlib.Path) -> dict[str, Any]:
    return files.read_json(bundle_path / bundle.EXTRA / "golden.json")


def assert_answers(response: Any, golden: dict[str, Any], rows: int) -> None:
    """Hold a response to the first rows of the golden outputs."""
    import tensorflow as tf

    assert set(response.outputs) == set(golden["outputs"])
    for name, values in golden["outputs"].items():
        expected, received = bundle.decode(values)[:rows], tf.make_ndarray(response.outputs[name])
        if expected.dtype == object:
            assert [text.decode() for text in received.tolist()] == expected.tolist()
        else:
            np.testing.assert_allclose(received, expected, atol=golden["tolerance"])


def test_a_client_of_tensorflow_serving_gets_the_golden_answers(stub: Any, golden: dict[str, Any]) -> None:
    import tensorflow as tf
    from tensorflow_serving.apis import model_pb2, predict_pb2

    columns = {name: bundle.decode(values) for name, values in golden["inputs"].items()}
    inputs = {name: tf.make_tensor_proto(values.tolist()) for name, values in columns.items()}
    request = predict_pb2.PredictRequest(model_spec=model_pb2.ModelSpec(name="tiny"), inputs=inputs)
    assert_answers(stub.Predict(request, timeout=TIMEOUT_SECONDS), golden, len(columns["text"]))


def test_every_warm_up_record_is_answered(stub: Any, bundle_path: pathlib.Path, golden: dict[str, Any]) -> None:
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    sizes = []
    for record in tf.data.TFRecordDataset(str(bundle_path / bundle.EXTRA / "tf_serving_warmup_requests")):
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        sizes.append(tf.make_ndarray(request.inputs["text"]).size)
        assert_answers(stub.Predict(request, timeout=TIMEOUT_SECONDS), golden, sizes[-1])
    assert sizes == sorted(sizes)
    assert sizes[0] == 1


def test_classify_gives_each_class_the_golden_score(stub: Any, golden: dict[str, Any], tiny: Any) -> None:
    import tensorflow as tf
    from tensorflow_serving.apis import classification_pb2, input_pb2, model_pb2

    texts = [text.encode() for text in golden["inputs"]["text"]]
    examples = [
        tf.train.Example(
            features=tf.train.Features(feature={"text": tf.train.Feature(bytes_list=tf.train.BytesList(value=[text]))})
        )
        for text in texts
    ]
    request = classification_pb2.ClassificationRequest(
        model_spec=model_pb2.ModelSpec(name="tiny", signature_name="classify"),
        input=input_pb2.Input(example_list=input_pb2.ExampleList(examples=examples)),
    )
    rows = stub.Classify(request, timeout=TIMEOUT_SECONDS).result.classifications
    assert len(rows) == len(texts)
    for row, scores in zip(rows, golden["outputs"]["scores"], strict=True):
        said = {each.label: each.score for each in row.classes}
        assert said == pytest.approx(dict(zip(tiny.decision.class_names, scores, strict=True)), abs=golden["tolerance"])


def test_the_metadata_name_inputs_and_outputs_as_the_contract_does(stub: Any) -> None:
    from tensorflow.core.framework import types_pb2
    from tensorflow_serving.apis import get_model_metadata_pb2, model_pb2

    asked = get_model_metadata_pb2.GetModelMetadataRequest(
        model_spec=model_pb2.ModelSpec(name="tiny"), metadata_field=["signature_def"]
    )
    packed = stub.GetModelMetadata(asked, timeout=TIMEOUT_SECONDS).metadata["signature_def"]
    named = get_model_metadata_pb2.SignatureDefMap()
    assert packed.Unpack(named)
    default = named.signature_def["serving_default"]
    assert {name: spec.dtype for name, spec in default.inputs.items()} == {"text": types_pb2.DT_STRING}
    assert set(default.outputs) == {"scores", "labels", "decision"}
    assert default.method_name == "tensorflow/serving/predict"


def test_classify_is_declared_and_the_graph_holds_stock_operations_only(bundle_path: pathlib.Path) -> None:
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString((bundle_path / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0]
    assert graph.signature_def["classify"].method_name == "tensorflow/serving/classify"
    functions = graph.graph_def.library.function
    named = {function.signature.name for function in functions}
    used = {node.op for node in graph.graph_def.node} | {node.op for each in functions for node in each.node_def}
    assert not {op for op in used if "PyFunc" in op}
    assert not {op for op in used - named if not hasattr(tf.raw_ops, op.lstrip("_"))}
