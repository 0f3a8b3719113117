"""A search is known by what it is made of, and goes on as one that was never interrupted."""

import dataclasses
import os
import pathlib
from typing import Any

import optuna
import pytest

from shared import config, errors, files
from shared.training import tuning


@dataclasses.dataclass(frozen=True, kw_only=True)
class Toy(config.Config):
    data: tuple[str, ...] = config.setting(("built-in",), "source")
    rate: float = config.setting(0.1, "of learning")
    epochs: int = config.setting(1, "passes")
    seed: int = config.setting(0, "of every random choice")

    @classmethod
    def default(cls) -> "Toy":
        return cls()


class Killed(BaseException):
    """Stands for a signal."""


class Search:
    """A search for the rate 0.3 that can be killed in a trial, and keeps what was tried."""

    def __init__(self, folder: pathlib.Path, **settings: Any) -> None:
        self.folder, self.settings, self.tried, self.data_sha256 = folder, Toy(**settings), list[float](), "a"

    def run(self, trials: int, *, seed: int = 3, killed_in: int | None = None, value: float | None = None) -> Any:
        def train(tried: Toy, folder: files.RunFolder) -> dict[str, Any]:
            self.tried.append(tried.rate)
            files.write_json(folder.split, {"checks": {"data_sha256": self.data_sha256}})
            if killed_in is not None and folder.path.name == f"trial-{killed_in:03d}":
                raise Killed
            return {"validation": {"auroc": -abs(tried.rate - 0.3) if value is None else value}}

        return tuning.search(
            tuning.Search(
                settings=self.settings.replace({"seed": seed}),
                suggest=lambda trial, _settings: {"rate": trial.suggest_float("rate", 0, 1)},
                train=train,
                metric="auroc",
                trials=trials,
                output=self.folder,
            )
        )


@pytest.fixture(autouse=True)
def quiet() -> Any:
    yield
    optuna.logging.set_verbosity(optuna.logging.INFO)


@pytest.mark.parametrize(
    "name", ["a?b#c%20 [1]{SCHEMA_VERSION}", "x" * 250, os.fsdecode(b"b\xff"), "שלום", "007", 'it\'s "q"']
)
def test_the_folder_of_a_search_may_have_any_name(tmp_path: pathlib.Path, name: str) -> None:
    found = Search(tmp_path / name).run(1)
    assert files.read_json(tmp_path / name / "best.json")["rate"] == found["best_settings"]["rate"]
    assert (tmp_path / name / "search.journal").stat().st_size > 0
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_search_killed_and_gone_on_with_tries_what_an_uninterrupted_one_tries(tmp_path: pathlib.Path) -> None:
    whole, parts = Search(tmp_path / "whole"), Search(tmp_path / "parts")
    expected = whole.run(12)
    parts.run(2)
    with pytest.raises(Killed):
        parts.run(12, killed_in=4)
    found = parts.run(12)
    assert len(set(whole.tried)) == 12
    # The trial that was cut off is made again, from its beginning.
    assert parts.tried == [*whole.tried[:5], *whole.tried[4:]]
    places = {"config": "", "history": "", "importance": ""}
    assert {**found, **places} == {**expected, **places}
    assert found["trials"] == 12


def test_a_finished_search_asked_for_again_trains_nothing(tmp_path: pathlib.Path) -> None:
    search = Search(tmp_path / "t")
    assert search.run(3) == search.run(3)
    assert len(search.tried) == 3


def test_another_setting_seed_or_content_of_the_data_is_another_search(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.csv").write_text("1")
    (tmp_path / "b.csv").write_text("1")
    data = (str(tmp_path / "a.csv"),)
    Search(tmp_path / "t", data=data).run(1)
    others: list[tuple[dict[str, Any], int, str]] = [
        ({"data": (str(tmp_path / "b.csv"),)}, 3, "data, files"),
        ({"data": data, "epochs": 2}, 3, "epochs"),
        ({"data": data}, 4, "seed"),
    ]
    for settings, seed, said in others:
        with pytest.raises(
            errors.InputError, match=rf"expected the same search .* another (files.*)?{said.split(',')[0]}"
        ):
            Search(tmp_path / "t", **settings).run(1, seed=seed)
    (tmp_path / "a.csv").write_text("2")
    with pytest.raises(errors.InputError, match=r"another files \(changed: .*a\.csv\)"):
        Search(tmp_path / "t", data=data).run(2)


def test_trials_of_other_data_are_not_compared_though_no_file_that_is_named_has_changed(tmp_path: pathlib.Path) -> None:
    search = Search(tmp_path / "t")
    search.run(1)
    search.data_sha256 = "b"
    with pytest.raises(errors.InputError, match="data that have changed"):
        search.run(2)


@pytest.mark.parametrize("held", ["search.db", "photo.jpg"])
def test_a_folder_with_something_else_is_not_searched_in(tmp_path: pathlib.Path, held: str) -> None:
    (tmp_path / held).write_text("precious")
    with pytest.raises(errors.InputError, match=held):
        Search(tmp_path).run(1)
    assert [path.name for path in tmp_path.iterdir()] == [held]


def test_trials_that_come_to_no_number_count_as_tried_and_end_in_a_sentence(tmp_path: pathlib.Path) -> None:
    search = Search(tmp_path / "t")
    with pytest.raises(errors.FieldnetsError, match="expected a trial with a validation auroc"):
        search.run(2, value=float("nan"))
    assert len(set(search.tried)) == 2
