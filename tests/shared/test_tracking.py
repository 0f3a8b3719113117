"""``--track mlflow`` with the real MLflow: what a store of its own holds of a run afterwards."""

import pathlib
import sys
import warnings
from typing import Any

import pytest

from shared import errors, files
from shared.runs import tracking
from tests.shared import test_runs

HEADLINE = test_runs.HEADLINE

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    mlflow = pytest.importorskip("mlflow", reason="the extra track is not installed")

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def run(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> files.RunFolder:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    made = test_runs.a_run(tmp_path / "runs" / "it's", document=test_runs.metrics(), epochs=4)
    made.history.write_text("network,epoch,loss,validation_loss\na,1,0.5,0.6\na,2,0.4,\nb,1,0.3,0.2\n")
    a_network(made.model)
    return made


def a_network(path: pathlib.Path) -> None:
    """Write what a ``.keras`` file tells of its inputs."""
    import json
    import zipfile

    layer = {"batch_shape": [None, 8, 8, 1], "dtype": "float32", "name": "image"}
    text = {"batch_shape": [None], "dtype": "string", "name": "text"}
    layers = [{"class_name": "InputLayer", "config": each} for each in (layer, text)]
    with zipfile.ZipFile(path, "w") as content:
        content.writestr("config.json", json.dumps({"config": {"layers": layers}}))


def stored(folder: pathlib.Path) -> tuple[Any, list[Any]]:
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("sentiment")
    return client, client.search_runs([experiment.experiment_id])


def test_a_training_and_its_evaluation_are_one_run_of_the_store_beside_the_folder(run: files.RunFolder) -> None:
    told = tracking.training(run, app="sentiment", package="apps.sentiment")
    assert tracking.evaluation(run, run.evaluation, app="sentiment") == told
    client, (found,) = stored(run.path.parent)
    assert (found.info.run_id, found.info.run_name, found.info.status) == (told["tracked as"], "it's", "FINISHED")
    assert found.data.params["epochs"] == "4"
    assert len(found.data.params) == len(files.read_json(run.config))
    assert [(each.step, each.value) for each in client.get_metric_history(found.info.run_id, "a/loss")] == [
        (1, 0.5),
        (2, 0.4),
    ]
    assert len(client.get_metric_history(found.info.run_id, "a/validation_loss")) == 1
    values = {name: found.data.metrics[name] for name in ("accuracy", "accuracy.low", "accuracy.high", "b/accuracy")}
    assert values == {"accuracy": 0.8, "accuracy.low": 0.7, "accuracy.high": 0.9, "b/accuracy": 0.75}
    names = {each.path for each in client.list_artifacts(found.info.run_id)}
    assert {"config.json", "split.json", "history.csv", "model", "evaluation"} <= names
    assert (run.path.parent / "mlartifacts").is_dir()


def test_the_model_has_the_signature_of_its_file(run: files.RunFolder, tmp_path: pathlib.Path) -> None:
    tracking.write_model(run, tmp_path / "model", app="apps.sentiment", loader="apps.tracked_model")
    model = mlflow.models.Model.load(str(tmp_path / "model"))
    image, text = model.signature.inputs.inputs
    assert (image.name, image.shape, str(image.type)) == ("image", (-1, 8, 8, 1), "float32")
    assert (text.name, text.shape, str(text.type)) == ("text", (-1,), "object")
    assert model.flavors["python_function"]["loader_module"] == "apps.tracked_model"


def test_a_store_that_is_named_is_used_and_an_untracked_training_gets_a_run_with_its_evaluation(
    run: files.RunFolder, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    address = f"sqlite:///{tmp_path / 'elsewhere' / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert tracking.evaluation(run, run.evaluation, app="sentiment")["tracked in"] == address
    _, (found,) = stored(tmp_path / "elsewhere")
    assert found.data.metrics["accuracy"] == 0.8
    assert not (run.path.parent / "mlflow.db").exists()


def test_without_mlflow_one_sentence_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(errors.InputError, match=r"pip install 'fieldnets\[track\]'"):
        tracking.check()
