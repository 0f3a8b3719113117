"""Every package under ``apps/`` has the files, the config and the command line of DESIGN."""

import dataclasses
import importlib
import inspect
import json
import re
import subprocess
import sys
import tomllib

import pytest

from shared import cli, config, parser, steps
from tests import helpers

VERBS = [field.name for field in dataclasses.fields(parser.Commands)]
HEAVY = {
    "tensorflow",
    "keras",
    "numpy",
    "pandas",
    "scipy",
    "sklearn",
    "matplotlib",
    "pyarrow",
    "rich",
    "fastapi",
}
COMMON = "--seed --verbose --quiet --json"
OPTIONS = {
    "data": "--data --data-format --write --output-dir --overwrite",
    "train": "--run-dir --data --preset --config --resume --overwrite --strategy",
    "evaluate": "--run-dir --data --split --output-dir",
    "explain": "--run-dir INPUT --output",
    "predict": "--run-dir --model-dir INPUT --output --resume --shard --merge",
    "export": "--run-dir --output-dir --format",
    "serve": "--model-dir --host --port",
    "monitor": "--model-dir --data",
    "tune": "--data --trials --preset",
}

pytestmark = pytest.mark.parametrize("app", helpers.APPS)


def test_every_app_has_the_files_of_the_layout(app: str) -> None:
    folder = helpers.ROOT / "apps" / app
    names = {
        "__init__.py",
        "__main__.py",
        "config.py",
        "data.py",
        "model.py",
        "train.py",
        "evaluate.py",
        "README.md",
    }
    assert names <= {path.name for path in folder.iterdir()}


def test_the_package_says_its_task_data_metric_and_limits_and_does_nothing(app: str) -> None:
    package = importlib.import_module(f"apps.{app}")
    for word in ("Task:", "Data:", "Headline metric:", "Limits:"):
        assert word in (package.__doc__ or "")
    text = (helpers.ROOT / "apps" / app / "__init__.py").read_text("utf-8")
    assert re.fullmatch(r'"""[^"]*"""\n', text.replace('\\"', ""))


def test_the_app_has_a_console_script_and_a_place_in_the_demo(app: str) -> None:
    scripts = tomllib.loads((helpers.ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    assert scripts[app.replace("_", "-")] == f"fieldnets.apps.{app}.__main__:main"
    demonstrated = importlib.import_module("apps.__main__").APPS
    assert demonstrated[app.replace("_", "-")] == f"apps.{app}"


@pytest.mark.parametrize("preset", cli.PRESETS)
def test_each_preset_is_valid_and_survives_its_json_file(app: str, preset: str) -> None:
    app_config = helpers.config_of(app)
    settings = app_config.presets()[preset]()
    assert app_config.from_json(json.loads(json.dumps(settings.to_json()))) == settings


def test_every_setting_has_its_help(app: str) -> None:
    for field in dataclasses.fields(helpers.config_of(app)):
        assert len(field.metadata["help"]) > 3, field.name


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_names_the_agreed_options_and_imports_nothing_heavy(app: str, verb: str) -> None:
    finished = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", f"apps.{app}", *verb.split(), "--help"],
        env=helpers.ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in finished.stderr.splitlines()}
    assert "argparse" in imported
    assert not imported & HEAVY
    for word in f"{OPTIONS[verb]} {COMMON}".split() if verb else VERBS:
        assert re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", finished.stdout), word
    if verb in ("train", "tune"):
        for name in config.field_types(helpers.config_of(app)):
            assert f"--{name.replace('_', '-')}" in finished.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "fly",
        "train --no-such-flag",
        "train --preset huge",
        "train --seed -1",
        "train --config missing.json",
        "predict x.csv --output y.csv",
        "predict x.csv --output y.doc --run-dir missing",
        "predict x.csv --output y.csv --run-dir missing --shard 0/2",
        "predict x.csv --output y.csv --run-dir missing --shard 3/2",
        "predict x.csv --output y.csv --run-dir missing --merge",
        "predict x.csv --output y.csv --merge --shard 1/2",
        "predict x.csv --output y.csv --merge",
        "export --run-dir missing",
        "tune --trials 0",
    ],
)
def test_bad_usage_exits_2_with_a_message_and_no_traceback(
    app: str, arguments: str, command_line: helpers.CommandLine
) -> None:
    finished = command_line.run(f"apps.{app}", *arguments.split(), code=2)
    assert finished.stdout == ""
    assert finished.stderr.strip()
    assert "Traceback" not in finished.stderr
    assert list(command_line.folder.iterdir()) == []


# How ``shared.verbs`` calls each step: how many arguments, and the names of those that are named. ``own`` is as long as
# what ``own_data`` returns.
CALLS: dict[str, dict[str, tuple[int, str]]] = {
    "data": {
        "locate": (1, ""),
        "load": (1, "quarantine"),
        "split": (2, ""),
        "describe": (1, ""),
        "table": (2, ""),
        "write": (3, ""),
        "more": (4, ""),
    },
    "run": {
        "open_run": (1, ""),
        "own_data": (1, "quarantine"),
        "own_part": (2, "own"),
        "other_part": (3, "own quarantine"),
    },
    "train": {"load": (1, "quarantine"), "describe": (1, ""), "split": (2, ""), "train": (4, "")},
    "evaluate": {"evaluate": (2, "own seed output")},
    "explain": {"explain": (2, "")},
    "predict": {"predict": (1, "")},
    "export": {"export": (2, "own engines")},
    "monitor": {"load": (2, "quarantine"), "describe": (1, ""), "monitor": (2, "output")},
    "tune": {"suggest": (2, "")},
}


@pytest.mark.tensorflow
def test_an_app_supplies_every_step_as_the_verbs_call_it(app: str) -> None:
    table: steps.App = importlib.import_module(f"apps.{app}.__main__").APP
    own = 1 if app == "fraud_detection" else 2
    for verb, calls in CALLS.items():
        supplied = getattr(table, verb)()
        for name, (count, named) in calls.items():
            names = named.split()
            arguments = [0] * (count + own * ("own" in names))
            keywords = dict.fromkeys((each for each in names if each != "own"), 0)
            inspect.signature(getattr(supplied, name)).bind(*arguments, **keywords)
