"""An app that scores numbers, on a Ray cluster of this machine: ``toy_cluster.py OUTPUT SHARDS [--resume]``.

The file ``kill`` ends the process that scores row 30; the file ``refuse`` makes that row a bad input; the file ``slow``
lets each chunk take a while.
"""

import importlib
import os
import pathlib
import signal
import sys
import time
import types
from collections.abc import Iterator
from typing import Any

import pandas as pd

from shared import cli, config, errors, parser, predicting, steps

ROWS, CHUNK_ROWS = 50, 4


def chunks() -> Iterator[pd.DataFrame]:
    for start in range(0, ROWS, CHUNK_ROWS):
        rows = range(start, min(start + CHUNK_ROWS, ROWS))
        yield pd.DataFrame({"file": "né.csv", "row": rows, "text": [f"a\n{row}" for row in rows]})


def score(chunk: pd.DataFrame) -> pd.DataFrame:
    if 30 in chunk["row"].tolist():
        if pathlib.Path("refuse").exists():
            raise errors.InputError("né.csv, row 30: expected a number. Received: none")
        if pathlib.Path("kill").exists():
            pathlib.Path("kill").unlink()
            os.kill(os.getpid(), signal.SIGKILL)
    if pathlib.Path("slow").exists():
        time.sleep(0.5)
    with pathlib.Path("log").open("a") as stream:
        stream.write(f"{chunk['row'].iloc[0]} {os.getpid()}\n")
    return chunk.assign(score=chunk["row"] / 7)


def predict(options: parser.PredictOptions) -> cli.Result:
    plan: dict[str, Any] = {"inputs": [], "model": os.environ.get("TOY_MODEL", "a")}
    return predicting.score_in_chunks(options, chunks(), score, what="rows", plan=plan)


APP: Any = types.SimpleNamespace(config=config.Config, predict=lambda: steps.Predict(predict=predict))


def options(output: pathlib.Path, **more: Any) -> parser.PredictOptions:
    plain: dict[str, Any] = {"settings": config.Config(), "run_dir": pathlib.Path("run"), "model_dir": None}
    plain |= {"engine": "saved-model", "input": [], "resume": False, "overwrite": False, "chunk_rows": 4}
    return parser.PredictOptions(output=output, **{**plain, **more})


if __name__ == "__main__":
    # A worker imports `<package>.__main__`: here that is this file, by its name.
    given = importlib.import_module("toy.__main__")
    asked = options(
        pathlib.Path(sys.argv[1]), ray_address="local", shards=int(sys.argv[2]), resume="--resume" in sys.argv
    )
    given.APP.config = types.SimpleNamespace(__module__="toy.config")
    try:
        print(predicting.on_ray(given.APP, given.APP.predict(), asked))
    except errors.InputError as error:
        sys.exit(str(error))
