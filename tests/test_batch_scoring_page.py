"""The commands of docs/batch_scoring.md: all are understood, and those of the first block are run."""

import pathlib
import re
import shlex
from typing import Any

import pandas as pd
import pytest

from shared import parser
from tests import helpers

PAGE = (helpers.ROOT / "docs" / "batch_scoring.md").read_text("utf-8")
FENCED = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
BLOCKS = [block.strip().splitlines() for language, block in FENCED if not language]


@pytest.mark.parametrize("line", [line for block in BLOCKS for line in block])
def test_every_command_of_the_page_is_understood(line: str) -> None:
    name, *words = shlex.split(line)
    commands: dict[str, Any] = dict.fromkeys(parser.Commands.__dataclass_fields__, dict)
    built = parser.app_parser(
        name,
        description="",
        config_class=helpers.config_of(name),
        data_fields=("text_column",),
        commands=parser.Commands(**commands),
    )
    assert built.parse_args(words).command is not None


@pytest.mark.slow
@pytest.mark.tensorflow
def test_the_shards_of_the_page_are_scored_and_merged(shared_runs: pathlib.Path, tmp_path: pathlib.Path) -> None:
    command_line = helpers.CommandLine(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mine").symlink_to(helpers.smoke_run("sentiment", shared_runs).path)
    (tmp_path / "reviews.csv").write_text("text\n" + "not bad at all\nquite dull\n" * 3000)
    for line in BLOCKS[0]:
        command_line.run("apps.sentiment", *shlex.split(line)[1:])
    whole = ("--run-dir", "runs/mine", "reviews.csv", "--output", "whole.csv")
    command_line.run("apps.sentiment", "predict", *whole)
    assert (tmp_path / "scores.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_ray_cluster_writes_the_file_of_one_process(
    suffix: str, shared_runs: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    pytest.importorskip("ray")
    command_line, run = helpers.CommandLine(tmp_path), helpers.smoke_run("sentiment", shared_runs).path
    texts = pd.DataFrame({"text": [f"not bad at all, take {each}" for each in range(300)]})
    given = tmp_path / f"reviews{suffix}"
    texts.to_parquet(given) if suffix == ".parquet" else texts.to_csv(given, index=False)
    common = ("apps.sentiment", "predict", "--run-dir", run, given, "--chunk-rows", 32)
    command_line.run(*common, "--output", f"whole{suffix}")
    found = command_line.run(*common, "--output", f"ray{suffix}", "--ray-address", "local", "--shards", 3, "--json")
    assert (found.json["rows"], found.json["shards"], found.json["resumed_rows"]) == (300, 3, 0)
    if suffix == ".csv":
        assert (tmp_path / "ray.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    else:
        whole, ray = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("whole", "ray"))
        pd.testing.assert_frame_equal(ray, whole, check_exact=True)
    assert not (tmp_path / f"ray{suffix}.shards").exists()
