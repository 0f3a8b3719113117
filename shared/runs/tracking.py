"""``--track mlflow``: a run's settings, metrics and files in an MLflow store, from what the run folder holds.

What is logged is read from the files that ``train`` and ``evaluate`` have written, so that nothing is told to MLflow
that is not in the run. The store is the one that MLFLOW_TRACKING_URI names, or a SQLite file beside the run folder.
"""

import contextlib
import hashlib
import json
import logging
import os
import pathlib
import re
import shutil
import tempfile
import time
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from shared import errors, files

# MLflow's own limits for one call.
_MOST_PARAMETERS, _MOST_METRICS, _LONGEST_PARAMETER = 100, 1000, 6000
# A run is found again by the hash of its path, which needs no quotes in a query.
_FOLDER, _FOLDER_HASH = "fieldnets.run_dir", "fieldnets.run_dir_sha256"
# What names of metrics may hold there.
_REFUSED = re.compile(r"[^\w\-. :/]")


def check() -> None:
    """Raise ``errors.InputError`` where MLflow is not installed, before any work."""
    try:
        _client_class()
    except ImportError:
        raise errors.InputError(
            "--track mlflow: expected the package mlflow; `pip install 'fieldnets[track]'` installs it. Received: none"
        ) from None


def training(run: files.RunFolder, *, app: str, package: str) -> dict[str, str]:
    """Log a finished training as a new MLflow run: settings, every epoch, the files that say what was done, the model.

    Args:
        run: A finished run.
        app: The experiment's name.
        package: The app's, such as ``apps.sentiment``.

    Returns:
        What the verb says of it: the store and the id of the MLflow run.
    """
    loader = f"{package.rpartition('.')[0]}.tracked_model"
    with _quiet():
        client, experiment, uri = _open(run, app)
        name = _new_run(client, experiment, run)
        _parameters(client, name, files.read_json(run.config))
        _metrics(client, name, list(_epochs(run)))
        for path in (run.config, run.split, run.environment, run.decision, run.history):
            if path.exists():
                client.log_artifact(name, str(path))
        with tempfile.TemporaryDirectory() as scratch:
            write_model(run, pathlib.Path(scratch) / "model", app=package, loader=loader)
            client.log_artifacts(name, str(pathlib.Path(scratch) / "model"), "model")
        client.set_terminated(name)
    return {"tracked in": uri, "tracked as": name}


def evaluation(run: files.RunFolder, output: pathlib.Path, *, app: str) -> dict[str, str]:
    """Log an evaluation to the MLflow run of the training, or to a new one where that was not tracked."""
    document = files.read_json(output / "metrics.json")
    with _quiet():
        client, experiment, uri = _open(run, app)
        name = _latest_run(client, experiment, run) or _new_run(client, experiment, run)
        _metrics(client, name, [(key, value, 0) for key, value in _figures(document)])
        for each in ("metrics.json", "report.html"):
            client.log_artifact(name, str(output / each), "evaluation")
        client.set_terminated(name)
    return {"tracked in": uri, "tracked as": name}


def _client_class() -> Any:
    # Its telemetry is off: a training tells nobody.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow

    return mlflow.MlflowClient


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Let warnings of MLflow's own libraries, and what it says of its tables, trouble nobody."""
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _open(run: files.RunFolder, app: str) -> tuple[Any, str, str]:
    """Return the client, the app's experiment, which is made where there is none, and the address of the store."""
    beside = run.path.resolve().parent
    named = os.environ.get("MLFLOW_TRACKING_URI")
    uri = named or f"sqlite:///{beside / 'mlflow.db'}"
    client = _client_class()(tracking_uri=uri)
    found = client.get_experiment_by_name(app)
    if found is not None:
        return client, found.experiment_id, uri
    place = {} if named else {"artifact_location": (beside / "mlartifacts").as_uri()}
    return client, client.create_experiment(app, **place), uri


def _new_run(client: Any, experiment: str, run: files.RunFolder) -> str:
    tags = {_FOLDER: str(run.path.resolve()), _FOLDER_HASH: _hash(run)}
    return str(client.create_run(experiment, run_name=run.path.resolve().name, tags=tags).info.run_id)


def _latest_run(client: Any, experiment: str, run: files.RunFolder) -> str | None:
    query, newest = f"tags.`{_FOLDER_HASH}` = '{_hash(run)}'", ["attributes.start_time DESC"]
    found = client.search_runs([experiment], query, max_results=1, order_by=newest)
    return str(found[0].info.run_id) if found else None


def _hash(run: files.RunFolder) -> str:
    return hashlib.sha256(os.fsencode(run.path.resolve())).hexdigest()


def _parameters(client: Any, name: str, settings: Mapping[str, Any]) -> None:
    from mlflow import entities

    told = [entities.Param(key, str(value)[:_LONGEST_PARAMETER]) for key, value in settings.items()]
    for start in range(0, len(told), _MOST_PARAMETERS):
        client.log_batch(name, params=told[start : start + _MOST_PARAMETERS])


def _metrics(client: Any, name: str, figures: Sequence[tuple[str, float, int]]) -> None:
    """Log name, value and step of each figure."""
    from mlflow import entities

    now = int(1000 * time.time())
    told = [entities.Metric(_REFUSED.sub("_", key), value, now, step) for key, value, step in figures]
    for start in range(0, len(told), _MOST_METRICS):
        client.log_batch(name, metrics=told[start : start + _MOST_METRICS])


def _epochs(run: files.RunFolder) -> Iterator[tuple[str, float, int]]:
    """Yield every number of ``history.csv``; of several networks with the network before its name, from step 1."""
    if not run.history.exists():
        return
    table = pd.read_csv(run.history)
    networks = table["network"].astype(str) if "network" in table else pd.Series("", index=table.index)
    columns = [str(column) for column in table.select_dtypes("number") if column not in ("network", "epoch")]
    for network, rows in table.groupby(networks, sort=False):
        for step, row in enumerate(rows[columns].to_dict("records"), start=1):
            for column, value in row.items():
                if np.isfinite(value):
                    yield (f"{network}/{column}" if network else str(column)), float(value), step


def _figures(document: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the metrics of a ``metrics.json`` with the ends of their intervals, and those of its baselines."""
    groups = {"": document["metrics"]} | {f"{name}/": values for name, values in document["baselines"].items()}
    for prefix, values in groups.items():
        for name, value in values.items():
            yield f"{prefix}{name}", value["value"]
            yield f"{prefix}{name}.low", value["low"]
            yield f"{prefix}{name}.high", value["high"]


def write_model(run: files.RunFolder, folder: pathlib.Path, *, app: str, loader: str) -> None:
    """Write the network as an MLflow model: its file, its signature, and the module that loads it.

    Args:
        run: A finished run.
        folder: Where it goes.
        app: Package of the app, whose import gives Keras the layers that the file names.
        loader: Module with ``_load_pyfunc``.
    """
    from mlflow import models

    data = folder / "data"
    data.mkdir(parents=True)
    shutil.copyfile(run.model, data / run.model.name)
    files.write_json(data / "app.json", {"package": app})
    described = models.Model(signature=models.ModelSignature(inputs=_inputs(run.model)))
    described.add_flavor("python_function", loader_module=loader, data="data")
    described.save(str(folder / "MLmodel"))


def _inputs(model: pathlib.Path) -> Any:
    """Return the schema of a ``.keras`` file's inputs, which it tells without Keras."""
    from mlflow import types

    with zipfile.ZipFile(model) as content:
        layers = json.loads(content.read("config.json"))["config"]["layers"]
    inputs = [layer["config"] for layer in layers if layer["class_name"] == "InputLayer"]
    return types.Schema(
        [
            types.TensorSpec(
                np.dtype("O" if each["dtype"] == "string" else each["dtype"]),
                tuple(-1 if side is None else side for side in each["batch_shape"]),
                each["name"],
            )
            for each in inputs
        ]
    )
