"""The bundle behind TensorFlow Serving's own protocol: gRPC PredictionService, warm-up file, operations.

The binary is not to be had from the package registries. This drives a service made from its protocol buffers, which
loads the SavedModel with stock TensorFlow, and shows that requests of its clients and the warm-up records are
answered as the golden file says; not how the binary schedules them.
"""

import concurrent.futures
import pathlib
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest

from shared import files
from shared.serving import bundle

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def stub(bundle_path: pathlib.Path) -> Iterator[Any]:
    """A client of a PredictionService over the bundle."""
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    loaded = tf.saved_model.load(str(bundle_path))

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]
        def Predict(self, request: Any, _context: Any) -> Any:  # noqa: N802 (the protocol's name)
            signature = loaded.signatures[request.model_spec.signature_name or "serving_default"]
            inputs = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
            outputs = signature(**inputs)
            found = {name: tf.make_tensor_proto(value.numpy()) for name, value in outputs.items()}
            return predict_pb2.PredictResponse(model_spec=request.model_spec, outputs=found)

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)
    server.stop(None)


def texts(response: Any, name: str) -> list[str]:
    import tensorflow as tf

    return [value.decode() for value in tf.make_ndarray(response.outputs[name]).tolist()]


def test_a_client_of_tensorflow_serving_gets_the_golden_answers(stub: Any, bundle_path: pathlib.Path) -> None:
    import tensorflow as tf
    from tensorflow_serving.apis import model_pb2, predict_pb2

    golden = files.read_json(bundle_path / bundle.EXTRA / "golden.json")
    inputs = {name: tf.make_tensor_proto(values) for name, values in golden["inputs"].items()}
    request = predict_pb2.PredictRequest(model_spec=model_pb2.ModelSpec(name="tiny"), inputs=inputs)
    response = stub.Predict(request, timeout=60)
    assert texts(response, "decision") == golden["outputs"]["decision"]
    scores = tf.make_ndarray(response.outputs["scores"])
    np.testing.assert_allclose(scores, golden["outputs"]["scores"], atol=1e-5)


def test_every_warm_up_record_is_answered(stub: Any, bundle_path: pathlib.Path) -> None:
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    golden = files.read_json(bundle_path / bundle.EXTRA / "golden.json")["outputs"]["decision"]
    sizes = []
    for record in tf.data.TFRecordDataset(str(bundle_path / bundle.EXTRA / "tf_serving_warmup_requests")):
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        answered = texts(stub.Predict(request, timeout=60), "decision")
        assert answered == golden[: len(answered)]
        sizes.append(len(answered))
    assert sizes == sorted(sizes)
    assert sizes[0] == 1


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
