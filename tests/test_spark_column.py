"""A bundle as a column of a data frame of a real local Spark says what ``predict`` says, row for row."""

import json
import pathlib
import shutil
import subprocess
import sys

import pandas as pd
import pytest

from tests import helpers

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]


@pytest.fixture(scope="module", autouse=True)
def spark() -> None:
    pytest.importorskip("pyspark")
    if shutil.which("java") is None:
        pytest.skip("Spark needs a JVM")


# Reads a table, adds the struct of the bundle's outputs in two workers, and writes one row of JSON for each.
SCORE = """
import json, pathlib, sys
from pyspark import sql
from shared.bundle import spark_column
bundle, table, columns, output = sys.argv[1:]
session = (
    sql.SparkSession.builder.master("local[2]")
    .config("spark.ui.enabled", "false").config("spark.driver.bindAddress", "127.0.0.1").getOrCreate()
)
frame = session.read.parquet(table).repartition(3)
predicted = spark_column.prediction(pathlib.Path(bundle), columns=json.loads(columns), engine="tensorflow", rows=16)
found = frame.select("*", predicted.alias("prediction")).collect()
pathlib.Path(output).write_text(json.dumps([row.asDict(recursive=True) for row in found]))
session.stop()
"""

# Two inputs, whose order by name is not that of the frame's columns.
TOY = """
import pathlib, sys
import numpy as np
from shared.training import runtime
runtime.quiet_logs()
import keras
import tensorflow as tf
from shared.bundle import export
amount, weight = keras.Input((), name="amount"), keras.Input((), name="weight")
network = keras.Model([amount, weight], amount - 2.0 * weight)
answer = export.Endpoint(
    function=lambda given: {
        "difference": network([given["amount"], given["weight"]], training=False),
        "both": tf.stack([given["amount"], given["weight"]], axis=1),
    },
    inputs={name: tf.TensorSpec([None], tf.float32, name) for name in ("amount", "weight")},
)
rows = {name: np.arange(4, dtype=np.float32) for name in ("amount", "weight")}
golden = export.Golden(inputs=rows, outputs={"difference": -rows["amount"], "both": np.stack(list(rows.values()), 1)})
export.write(
    network, {"serving_default": answer}, golden, repository=pathlib.Path(sys.argv[1]), name="toy", extras={}
)
"""


def python(text: str, *arguments: object) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", text, *map(str, arguments)],
        # Spark's workers are of another Python unless they are told.
        env={**helpers.ENVIRONMENT, "PYSPARK_PYTHON": sys.executable},
        cwd=helpers.ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert finished.returncode == 0, finished.stderr


def scored(folder: pathlib.Path, bundle: pathlib.Path, table: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    table.to_parquet(folder / "table.parquet")
    python(SCORE, bundle, folder / "table.parquet", json.dumps(columns), folder / "scored.json")
    rows = json.loads((folder / "scored.json").read_text())
    return pd.DataFrame([{**row, **row.pop("prediction")} for row in rows]).sort_values("row", ignore_index=True)


def test_inputs_find_their_columns_by_name_and_outputs_keep_their_shape(tmp_path: pathlib.Path) -> None:
    python(TOY, tmp_path / "bundles")
    table = pd.DataFrame({"row": range(50), "weight": [float(each % 7) for each in range(50)]})
    table["money"] = table["row"] / 2
    found = scored(
        tmp_path, tmp_path / "bundles", table.astype({"weight": "float32", "money": "float32"}), {"amount": "money"}
    )
    assert found["difference"].tolist() == (table["money"] - 2 * table["weight"]).tolist()
    assert found["both"].tolist() == table[["money", "weight"]].to_numpy().tolist()


def test_reviews_on_spark_get_what_predict_gives_them(shared_runs: pathlib.Path, tmp_path: pathlib.Path) -> None:
    command_line, run = helpers.CommandLine(tmp_path), helpers.smoke_run("sentiment", shared_runs)
    bundles = tmp_path / "bundles"
    command_line.run("apps.sentiment", "export", "--run-dir", run.path, "--output-dir", bundles)
    words = ("not", "bad", "at all", "quite dull", "né", "a fine film", "")
    reviews = [f"{words[each % 7]} {words[each // 7 % 7]} take {each}" for each in range(60)]
    pd.DataFrame({"text": reviews}).to_csv(tmp_path / "reviews.csv", index=False)
    given = ("--model-dir", bundles, tmp_path / "reviews.csv", "--output", tmp_path / "scores.parquet")
    command_line.run("apps.sentiment", "predict", *given, "--engine", "tensorflow")
    expected = pd.read_parquet(tmp_path / "scores.parquet")
    found = scored(
        tmp_path, bundles, pd.DataFrame({"row": expected["row"].to_numpy(), "review": reviews}), {"text": "review"}
    )
    assert found["labels"].tolist() == expected["label"].tolist()
    assert found["decision"].tolist() == expected["decision"].tolist()
    scores = pd.DataFrame(found["scores"].tolist())
    for place, name in enumerate(name for name in map(str, expected) if name.startswith("score_")):
        assert scores[place].to_numpy() == pytest.approx(expected[name].to_numpy(), abs=1e-6)
