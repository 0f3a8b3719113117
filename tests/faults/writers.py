"""What a child writes, by the functions through which the verbs write: a version, which its content tells."""

import dataclasses
import pathlib
import shutil

import optuna
import pandas as pd

from apps.fraud_detection import feedback
from shared import batch, files, published
from shared.training import tuning

FILES = 8
ROWS = 40


def one_file(folder: str, number: str) -> None:
    """Replace a file."""
    files.write_text(pathlib.Path(folder) / "table.txt", f"{number};" * 2_000)


def one_folder(folder: str, number: str) -> None:
    """Replace the files of a folder."""
    with published.folder(pathlib.Path(folder) / "published") as scratch:
        for name in range(FILES):
            (scratch / f"{name}.txt").write_text(f"{number};" * 500)


def one_run(folder: str, number: str) -> None:
    """Put new weights, rule and figures into a run."""
    run = files.RunFolder(pathlib.Path(folder) / "run")
    made = pathlib.Path(folder) / f"made-{number}"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    sources = {name: made / name for name in ("model.keras", "decision.json", "inputs.json")}
    for path in sources.values():
        path.write_text(f'{{"version": "{number}"}}')
    run.replace_files(sources)


def one_table(folder: str, number: str) -> None:
    """Replace a table of any number of rows."""
    rows = pd.DataFrame({"row": range(ROWS), "text": f"{number};" * 20})
    with files.atomic(pathlib.Path(folder) / "rows.parquet") as temporary, temporary.open("wb") as stream:
        rows.to_parquet(stream, index=False)


def one_prediction(folder: str, number: str, resume: bool = False) -> None:
    """Score rows in chunks."""
    chunks = (pd.DataFrame({"row": range(start, start + 5)}) for start in range(0, ROWS, 5))

    def score(chunk: pd.DataFrame) -> pd.DataFrame:
        return chunk.assign(score=chunk["row"] / 7 + int(number))

    output = pathlib.Path(folder) / "scores.csv"
    batch.predict(chunks, score, output=output, plan={"version": number}, resume=resume, overwrite=True)


def verdicts(number: str) -> pd.DataFrame:
    """Return the verdicts of a version."""
    return pd.DataFrame({"id": [f"{number}-{row}" for row in range(ROWS)], "verdict": 1})


def one_feedback(folder: str, number: str) -> None:
    """Add verdicts to those of a run."""
    labels = pathlib.Path(folder) / f"labels-{number}.csv"
    verdicts(number).to_csv(labels, index=False)
    feedback.record(pathlib.Path(folder) / "run", labels, id_column="id", label_column=None)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is searched."""

    seed: int = 0
    rate: float = 0.0

    def to_json(self) -> dict[str, object]:
        """Return it as plain JSON."""
        return dataclasses.asdict(self)

    def replace(self, changes: dict[str, float]) -> "Settings":
        """Return it changed."""
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]


def one_search(folder: str, number: str) -> None:
    """Search, with a training in the place of each that writes a file."""

    def train(settings: Settings, run: files.RunFolder) -> dict[str, dict[str, float]]:
        files.write_json(run.config, settings.to_json())
        return {"validation": {"value": -abs(settings.rate - 0.3)}}

    def suggest(trial: optuna.Trial, _settings: Settings) -> dict[str, float]:
        return {"rate": trial.suggest_float("rate", 0.0, 1.0)}

    tuning.search(
        tuning.Search(
            settings=Settings(seed=int(number)), train=train, metric="value", suggest=suggest, trials=4,
            output=pathlib.Path(folder) / f"search-{number}",
        )
    )  # fmt: skip
