"""Readers of safetensors and ONNX files, against files of known content and planted faults."""

import json

import numpy as np
import pytest

from shared import errors
from shared.models import tensor_files

FIRST = np.arange(6, dtype="<f4").reshape(2, 3) - 2.5
SECOND = np.array([1, -2], dtype="<i8")


def safetensors(**changes: object) -> bytes:
    """Write two arrays as the format's description says; ``changes`` replace what is said of the first."""
    first = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24], **changes}
    second = {"dtype": "I64", "shape": [2], "data_offsets": [24, 40]}
    header = json.dumps({"__metadata__": {"format": "pt"}, "first": first, "second": second}).encode()
    return len(header).to_bytes(8, "little") + header + FIRST.tobytes() + SECOND.tobytes()


def test_the_arrays_of_a_safetensors_file_come_back() -> None:
    found = tensor_files.read_safetensors(safetensors(), name="file")
    assert found.keys() == {"first", "second"}
    assert np.array_equal(found["first"], FIRST)
    assert np.array_equal(found["second"], SECOND)


@pytest.mark.parametrize(
    "changes",
    [
        {"data_offsets": [0, 20]},
        {"data_offsets": [0, 400]},
        {"data_offsets": [-8, 16]},
        {"data_offsets": None},
        {"dtype": "F64X"},
        {"shape": [2, 4]},
        {"shape": "two"},
    ],
)
def test_a_safetensors_file_that_contradicts_itself_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(errors.InputError, match=r"file: expected a safetensors file\. Received"):
        tensor_files.read_safetensors(safetensors(**changes), name="file")


@pytest.mark.parametrize("length", [0, 5, 20, 60])
def test_a_safetensors_file_cut_off_is_refused(length: int) -> None:
    with pytest.raises(errors.InputError, match="file: expected a safetensors file"):
        tensor_files.read_safetensors(safetensors()[:length], name="file")


def onnx_file() -> bytes:
    onnx = pytest.importorskip("onnx")
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in (("first", FIRST), ("second", SECOND))]
    kernels = np.array([[-128, 127], [0, 1]], np.int8)
    tensors.append(onnx.numpy_helper.from_array(kernels, "kernel_q"))
    node = onnx.helper.make_node("Add", ["first", "first"], ["sum"], name="add")
    graph = onnx.helper.make_graph([node], "graph", [], [], tensors, doc_string="x" * 300)
    return bytes(onnx.helper.make_model(graph).SerializeToString())


def test_the_initializers_of_an_onnx_file_come_back() -> None:
    found = tensor_files.read_onnx(onnx_file(), name="file")
    assert found.keys() == {"first", "second", "kernel_q"}
    assert np.array_equal(found["first"], FIRST)
    assert np.array_equal(found["second"], SECOND)
    assert found["kernel_q"].dtype == np.int8
    assert found["kernel_q"].tolist() == [[-128, 127], [0, 1]]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.95])
def test_an_onnx_file_cut_off_is_refused(share: float) -> None:
    data = onnx_file()
    with pytest.raises(errors.InputError, match="file: expected an ONNX file"):
        tensor_files.read_onnx(data[: int(share * len(data))], name="file")


@pytest.mark.parametrize("data", [b"\xff" * 40, b"PK\x03\x04 not at all", b"\x3a\x05abc"])
def test_another_format_is_no_onnx_file(data: bytes) -> None:
    with pytest.raises(errors.InputError, match="file: expected an ONNX file"):
        tensor_files.read_onnx(data, name="file")
