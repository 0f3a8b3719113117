"""The requests of the benchmark of serving: what TF Serving's JSON can carry, and wrong answers found."""

import json
import pathlib

import numpy as np

from benchmarks import serving_requests


def test_files_become_base64_and_missing_numbers_null(tmp_path: pathlib.Path) -> None:
    rows = {
        "image_bytes": np.array([b"\x00\xff"] * serving_requests.ROWS, object),
        "amounts": np.array([[1.5, np.nan]] * serving_requests.ROWS, np.float32),
    }
    serving_requests.write(rows, tmp_path)
    expected = {"instances": [{"image_bytes": {"b64": "AP8="}, "amounts": [1.5, None]}]}
    assert [json.loads(path.read_text()) for path in tmp_path.iterdir()] == [expected] * serving_requests.ROWS


def test_an_answer_is_compared_with_the_bundle_s_own_by_name_number_and_text() -> None:
    expected = {"score": np.array([0.25, 0.5], np.float32), "reasons": np.array([["a", "b"], ["c", "d"]], object)}
    right = {"score": 0.25001, "reasons": ["a", "b"]}
    assert serving_requests.is_answer({"predictions": [right]}, expected)
    assert serving_requests.is_answer([right], expected)
    wrong = ({**right, "score": 0.26}, {**right, "reasons": ["a", "c"]}, {"score": 0.25}, {**right, "other": 1})
    assert not any(serving_requests.is_answer([row], expected) for row in wrong)
