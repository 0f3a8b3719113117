"""One process of a search for the rate 0.3: each trial is written to a log; the file ``kill`` ends one process."""

import dataclasses
import os
import pathlib
import signal
import sys
import time
from typing import Any

from shared import config, errors, files, launch
from shared.training import tuning


@dataclasses.dataclass(frozen=True, kw_only=True)
class Toy(config.Config):
    rate: float = config.setting(0.1, "of learning")
    seed: int = config.setting(0, "of every random choice")

    @classmethod
    def default(cls) -> "Toy":
        return cls()


def train(settings: Toy, folder: files.RunFolder) -> dict[str, Any]:
    beside = folder.path.parent.parent
    with (beside / "log").open("a") as stream:
        stream.write(f"{folder.path.name} {os.getpid()}\n")
    if (beside / "refuse").exists():
        raise errors.InputError("a.csv, row 2: expected a label. Received: none")
    kill = beside / "kill"
    if folder.path.name == "trial-002" and kill.exists():
        kill.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.3)
    return {"validation": {"auroc": -abs(settings.rate - 0.3)}}


def wanted(folder: pathlib.Path, *, trials: int, workers: int, ray_address: str | None = None) -> tuning.Search:
    command = [sys.executable, __file__, str(folder), str(trials), str(workers)]
    return tuning.Search(
        settings=Toy(seed=3),
        suggest=lambda trial, _settings: {"rate": trial.suggest_float("rate", 0, 1)},
        train=train,
        metric="auroc",
        trials=trials,
        output=folder,
        workers=workers,
        start=None
        if launch.is_helper()
        else lambda count: launch.helpers(command, count=count, ray_address=ray_address),
    )


if __name__ == "__main__":
    asked = wanted(pathlib.Path(sys.argv[1]), trials=int(sys.argv[2]), workers=int(sys.argv[3]))
    if launch.is_helper():
        launch.end_with_parent()
        try:
            tuning.work(asked)
        except errors.InputError:
            sys.exit(2)
    else:
        tuning.search(asked)
