import dataclasses
import json
import pathlib
import re
import shutil
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from shared import errors, files
from shared.bundle import reading as bundle

pytestmark = pytest.mark.tensorflow


def test_the_bundle_has_the_layout_of_the_contract(bundle_path: pathlib.Path) -> None:
    assert (bundle_path.parent.name, bundle_path.name) == ("tiny", "1")
    assert (bundle_path / "saved_model.pb").is_file()
    assert {path.name for path in (bundle_path / "assets.extra").iterdir()} == {
        *("tf_serving_warmup_requests", "golden.json", "decision.json", "drift_reference.json"),
        *("model_card.md", "manifest.json"),
    }
    assert [path.name for path in bundle_path.parent.iterdir()] == ["1"]


def test_the_signature_names_its_input_and_its_outputs(bundle_path: pathlib.Path) -> None:
    loaded = bundle.load(bundle_path)
    assert {name: (spec.shape.as_list(), spec.dtype.name) for name, spec in loaded.inputs().items()} == {
        "text": ([None], "string")
    }
    assert set(loaded.outputs()) == {"scores", "labels", "decision"}


def test_the_replay_found_every_golden_row_equal(exported: Any, tiny: Any) -> None:
    assert exported.version == 1
    assert exported.parity["rows"] == len(tiny.golden.inputs["text"])
    assert exported.parity["labels"] == exported.parity["decision"] == 0
    assert exported.parity["scores"] <= 1e-5


def test_the_golden_file_holds_raw_inputs_and_what_the_model_answered(bundle_path: pathlib.Path, tiny: Any) -> None:
    golden = files.read_json(bundle_path / "assets.extra" / "golden.json")
    assert golden["inputs"]["text"] == tiny.golden.inputs["text"].tolist()
    assert golden["outputs"]["decision"] == tiny.golden.outputs["decision"].tolist()
    assert {"abstain", "negative", "positive"} == set(golden["outputs"]["decision"])


def test_tensorflow_serving_can_read_the_warm_up_requests(bundle_path: pathlib.Path, tiny: Any) -> None:
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    path = bundle_path / "assets.extra" / "tf_serving_warmup_requests"
    rows = []
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        assert (request.model_spec.name, request.model_spec.signature_name) == ("tiny", "serving_default")
        texts = [text.decode() for text in tf.make_ndarray(request.inputs["text"]).tolist()]
        assert texts == tiny.golden.inputs["text"][: len(texts)].tolist()
        rows.append(len(texts))
    assert rows == [1, 8, len(tiny.golden.inputs["text"])]


def test_no_file_of_the_bundle_names_a_python_file_or_a_path_of_this_machine(
    bundle_path: pathlib.Path, root: pathlib.Path
) -> None:
    traces = [
        str(root),
        str(pathlib.Path.home()),
        str(bundle_path.parent.parent),
        "site-packages",
        sys.prefix,
    ]
    # "/tmp" only as a path, and Python files with the line that a stack trace gives.
    pattern = re.compile(rb"\.py\b|/tmp/|" + b"|".join(re.escape(trace.encode()) for trace in traces if trace != "/"))
    for path in bundle_path.rglob("*"):
        if path.is_file():
            assert not pattern.search(path.read_bytes()), path


def test_the_manifest_lists_every_other_file_with_its_hash(bundle_path: pathlib.Path) -> None:
    manifest = files.read_json(bundle_path / "assets.extra" / "manifest.json")
    assert (manifest["name"], manifest["version"]) == ("tiny", 1)
    found = {path.relative_to(bundle_path).as_posix(): path for path in bundle_path.rglob("*") if path.is_file()}
    del found["assets.extra/manifest.json"]
    assert manifest["files"] == {name: files.sha256(path) for name, path in found.items()}


@pytest.fixture
def copy(bundle_path: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(bundle_path, tmp_path / "tiny" / "1"))


def test_a_flipped_bit_is_found_and_named(copy: pathlib.Path) -> None:
    path = next(copy.glob("variables/variables.data*"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(errors.GateError, match=rf"variables/{path.name} was changed after export"):
        bundle.load(copy)


def test_a_missing_file_is_found_and_named(copy: pathlib.Path) -> None:
    (copy / "assets.extra" / "decision.json").unlink()
    with pytest.raises(errors.GateError, match=r"assets\.extra/decision\.json is missing after export"):
        bundle.load(copy)


def test_an_added_file_is_found_and_named(copy: pathlib.Path) -> None:
    (copy / "assets" / "notes.txt").write_text("hello")
    with pytest.raises(errors.GateError, match=r"assets/notes\.txt was added after export"):
        bundle.load(copy)


def test_a_manifest_without_its_list_is_refused(copy: pathlib.Path) -> None:
    (copy / "assets.extra" / "manifest.json").write_text("{}")
    with pytest.raises(errors.FieldnetsError, match="manifest"):
        bundle.load(copy)


@pytest.mark.parametrize("levels_up", [0, 1, 2])
def test_a_bundle_is_found_from_its_version_its_model_and_its_repository(
    bundle_path: pathlib.Path, levels_up: int
) -> None:
    assert bundle.find([bundle_path, *bundle_path.parents][levels_up]) == bundle_path


def test_the_newest_version_counts_as_a_number(copy: pathlib.Path) -> None:
    for version in ("2", "10", "9"):
        shutil.copytree(copy, copy.with_name(version))
    (copy.parent / "11").mkdir()
    (copy.parent / "latest").mkdir()
    assert bundle.find(copy.parent).name == "10"


def test_a_folder_without_a_bundle_or_with_two_models_is_refused(copy: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.InputError, match="no bundle"):
        bundle.find(tmp_path / "nowhere")
    shutil.copytree(copy.parent, tmp_path / "other")
    with pytest.raises(errors.InputError, match="models other, tiny"):
        bundle.find(tmp_path)


def test_a_bundle_refuses_inputs_that_it_does_not_have(bundle_path: pathlib.Path) -> None:
    with pytest.raises(errors.InputError, match=r"expected the inputs \['text'\]. Received: \['words'\]"):
        bundle.load(bundle_path).run({"words": ["good"]})


def test_bytes_text_and_numbers_survive_the_golden_file() -> None:
    for values in (
        np.array([b"\xff\x00", b""], object),
        np.array(["né😀", ""], object),
        np.array([[0.1, 2.5]], np.float64),
        np.array([3, -4]),
    ):
        encoded = json.loads(json.dumps(bundle.encode(values)))
        assert bundle.decode(encoded).tolist() == values.tolist()


def plant(tiny: Any, name: str, value: Any) -> Any:
    """The golden rows with one output of the last row altered."""
    altered = tiny.golden.outputs[name].copy()
    altered[-1] = value
    return dataclasses.replace(tiny.golden, outputs={**tiny.golden.outputs, name: altered})


def test_the_next_export_counts_up_and_a_wrong_answer_leaves_nothing_behind(
    tiny: Any, copy: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shared.bundle import export
    from shared.bundle import reading as bundle

    # In this process, to save the time of two: the next test plants a fault for the real one.
    monkeypatch.setattr(export, "_replay_in_clean_process", bundle.replay_at)

    def write(golden: Any) -> Any:
        return export.write(
            tiny.model, tiny.endpoints, golden, repository=copy.parent.parent, name="tiny", extras=tiny.extras
        )

    scores = tiny.golden.outputs["scores"][-1]
    with pytest.raises(errors.GateError, match="scores: expected outputs within 1e-05"):
        write(plant(tiny, "scores", scores + 2e-5))
    assert [path.name for path in copy.parent.iterdir()] == ["1"]
    assert write(plant(tiny, "scores", scores + 1e-6)).version == 2


def test_a_first_export_that_fails_leaves_no_file(tiny: Any, tmp_path: pathlib.Path) -> None:
    from shared.bundle import export

    with pytest.raises(errors.GateError, match=r"decision: 1 rows differ, first in golden row 15"):
        export.write(
            tiny.model,
            tiny.endpoints,
            plant(tiny, "decision", "perhaps"),
            repository=tmp_path / "repository",
            name="tiny",
            extras=tiny.extras,
        )
    assert [path for path in tmp_path.rglob("*") if not path.is_dir()] == []


def test_a_golden_output_that_is_not_a_number_never_passes(bundle_path: pathlib.Path) -> None:
    from shared.bundle import reading as bundle

    loaded = bundle.load(bundle_path)

    class Planted:
        run = staticmethod(lambda inputs: {**loaded.run(inputs), "scores": np.full((16, 2), np.nan)})
        extra = staticmethod(loaded.extra)

    with pytest.raises(errors.GateError, match="scores"):
        bundle.replay(Planted())  # type: ignore[arg-type]


def test_last_digits_may_differ_on_another_machine_and_what_is_more_may_not(bundle_path: pathlib.Path) -> None:
    from shared.bundle import reading as bundle

    loaded = bundle.load(bundle_path)

    def planted(difference: float) -> Any:
        class Planted:
            run = staticmethod(lambda inputs: {**(found := loaded.run(inputs)), "scores": found["scores"] + difference})
            extra = staticmethod(loaded.extra)

        return Planted()

    assert bundle.replay(planted(3e-5), tolerance=bundle.TOLERANCE_ELSEWHERE)["scores"] == pytest.approx(3e-5, abs=1e-5)
    for difference, tolerance in ((3e-5, None), (3e-4, bundle.TOLERANCE_ELSEWHERE)):
        with pytest.raises(errors.GateError, match="scores"):
            bundle.replay(planted(difference), tolerance=tolerance)


def test_the_replay_command_exits_3_on_a_changed_bundle(copy: pathlib.Path, environment: dict[str, str]) -> None:
    (copy / "assets" / "notes.txt").write_text("hello")
    finished = subprocess.run(
        [sys.executable, "-m", "shared.bundle.reading", str(copy)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 3
    assert "notes.txt was added" in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize(
    "name",
    [
        "m[1]?",
        '100%d #1 it\'s "q"',
        *(pytest.param(each, marks=pytest.mark.slow) for each in ("a?b*c", "x\\y {z}", "שלום", "x" * 250)),
    ],
)
def test_a_bundle_can_be_written_to_a_folder_of_any_name_and_read_from_it(
    tmp_path: pathlib.Path, tiny: Any, name: str
) -> None:
    from shared.bundle import export

    written = export.write(
        tiny.model, tiny.endpoints, tiny.golden, repository=tmp_path / name, name="tiny", extras=tiny.extras
    )
    assert written.path == tmp_path / name / "tiny" / "1"
    found = bundle.load(tmp_path / name).run({"text": np.array(["good"], object)})
    assert found["labels"].tolist() == [
        tiny.golden.outputs["labels"][tiny.golden.inputs["text"].tolist().index("good")]
    ]
    assert [each.name for each in (tmp_path / name / "tiny").iterdir()] == ["1"]


def test_of_two_exports_at_once_one_gets_the_number_and_the_other_is_told(
    tmp_path: pathlib.Path, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shared.bundle import export

    def meanwhile(_folder: pathlib.Path) -> dict[str, float]:
        files.write_text(tmp_path / "tiny" / "1" / "saved_model.pb", "another's")
        return {}

    monkeypatch.setattr(export, "_replay_in_clean_process", meanwhile)
    with pytest.raises(errors.InputError, match=r"tiny/1: expected a version number that is free"):
        export.write(tiny.model, tiny.endpoints, tiny.golden, repository=tmp_path, name="tiny", extras=tiny.extras)
    assert (tmp_path / "tiny" / "1" / "saved_model.pb").read_text() == "another's"
    assert [path.name for path in (tmp_path / "tiny").iterdir()] == ["1"]
