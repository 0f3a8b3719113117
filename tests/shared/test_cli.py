"""A toy app through the shared command line: what it returns, prints, refuses and imports."""

import argparse
import dataclasses
import errno
import importlib.metadata
import json
import logging
import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest

from shared import cli, config, errors, parser

VERBS = [field.name for field in dataclasses.fields(parser.Commands)]

TOY = """
import dataclasses, os, sys
from shared import cli, config, errors, parser

@dataclasses.dataclass(frozen=True, kw_only=True)
class Toy(config.Config):
    data: tuple[str, ...] = config.setting(("built-in",), "source")
    epochs: int = config.setting(3, "passes", unit="epochs", minimum=1)
    seed: int = config.setting(0, "seed", minimum=0)
    default = smoke = quick = classmethod(lambda cls: cls())

def many(arguments):
    print("a library prints this")
    return {"rows": list(range(20_000))}

commands = parser.Commands(**{field.name: many for field in dataclasses.fields(parser.Commands)})
toy = {"description": "A toy.", "config_class": Toy, "data_fields": ["data"], "commands": commands}
sys.exit(cli.run(parser.app_parser("toy", **toy)))
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Toy(config.Config):
    data: tuple[str, ...] = config.setting(("built-in",), "source")
    label_column: str | None = config.setting(None, "column")
    epochs: int = config.setting(3, "passes", unit="epochs", minimum=1)
    seed: int = config.setting(0, "seed", minimum=0)

    @classmethod
    def smoke(cls) -> "Toy":
        return cls(epochs=1)

    @classmethod
    def quick(cls) -> "Toy":
        return cls(epochs=2)

    @classmethod
    def default(cls) -> "Toy":
        return cls()


def parser_of(command: cli.Command) -> argparse.ArgumentParser:
    return parser.app_parser(
        "toy",
        description="A toy.",
        config_class=Toy,
        data_fields=["data", "label_column"],
        commands=parser.Commands(**dict.fromkeys(VERBS, command)),
    )


def resolve(*argv: str) -> Toy:
    """The config that ``train`` would run with."""
    seen: list[Toy] = []

    def train(arguments: argparse.Namespace) -> cli.Result:
        seen.append(cli.resolve_config(Toy, arguments))
        return {}

    assert cli.run(parser_of(train), ["train", *argv]) == 0
    return seen[0]


def raising(error: BaseException) -> argparse.ArgumentParser:
    def command(_: argparse.Namespace) -> cli.Result:
        raise error

    return parser_of(command)


def result(content: dict[str, Any]) -> argparse.ArgumentParser:
    return parser_of(lambda _: content)


@pytest.fixture(autouse=True)
def _keep_the_logger() -> Any:
    """The command line sets the package's logger up; leave it as it was."""
    log = logging.getLogger("fieldnets")
    before = log.level, log.propagate, list(log.handlers)
    yield
    log.level, log.propagate, log.handlers[:] = before[0], before[1], before[2]


def test_flags_win_over_the_file_and_the_file_over_the_preset(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"epochs": 7, "label_column": "stars"}')
    assert resolve("--preset", "smoke") == Toy(epochs=1)
    assert resolve("--preset", "smoke", "--config", str(path)) == Toy(epochs=7, label_column="stars")
    assert resolve("--config", str(path), "--epochs", "9").epochs == 9
    assert resolve("--seed", "4").seed == 4


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InputError("row 7: expected a label"), 2),
        (errors.GateError("the split leaks"), 3),
        (errors.FieldnetsError("the server is gone"), 1),
        (PermissionError(13, "Permission denied", "/data/train.csv"), 2),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_kind_of_error_has_its_exit_code_and_no_traceback(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(raising(error), ["train", "--json"]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("toy: ")
    assert "Traceback" not in captured.err
    assert captured.err.count("\n") == 1


def test_a_permission_error_names_the_path(capsys: pytest.CaptureFixture[str]) -> None:
    cli.run(raising(PermissionError(13, "Permission denied", "/data/train.csv")), ["train"])
    assert "/data/train.csv" in capsys.readouterr().err


@pytest.mark.parametrize("error", [ZeroDivisionError("division by zero"), OSError("no path at all")])
def test_a_fault_of_ours_shows_its_traceback_and_asks_for_a_report(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(raising(error), ["train"]) == 1
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "please report it" in said


def test_a_result_may_carry_the_exit_code_of_a_failed_gate(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(result({"drift": ["length"], "exit_code": 3}), ["monitor", "--model-dir", "m"]) == 3
    assert capsys.readouterr().out == "drift: length\n"


def test_json_on_standard_output_is_the_result_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    content = {"rows": 3, "name": "né😀", "accuracy": {"value": 0.9, "low": 0.8, "high": 1.0}}

    def command(_: argparse.Namespace) -> cli.Result:
        print("a library prints this")
        cli.log.info("working")
        return content

    assert cli.run(parser_of(command), ["data", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == content
    assert "a library prints this" in captured.err
    assert "working" in captured.err


def test_a_result_with_nan_is_a_fault_and_prints_no_half_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(result({"value": float("nan")}), ["data", "--json"]) == 1
    assert capsys.readouterr().out == ""


def test_a_person_reads_lines_and_tables(capsys: pytest.CaptureFixture[str]) -> None:
    content = {
        "run_dir": "runs/[red]toy",
        "metrics": {"accuracy": {"value": 0.91234, "low": 0.9, "high": 0.92, "confidence": 0.9}},
        "table": [{"app": "toy", "rows": "30"}],
    }
    assert cli.run(result(content), ["data"]) == 0
    text = capsys.readouterr().out
    assert "run_dir: runs/[red]toy" in text
    assert "0.9123" in text
    assert "90 % interval" in text
    assert "0.9000 to 0.9200" in text
    assert "toy" in text
    assert "30" in text


def test_an_empty_table_prints_without_a_fault() -> None:
    assert cli.run(result({"table": [], "metrics": {}}), ["data"]) == 0


@pytest.mark.parametrize(
    ("flag", "levels"),
    [("--quiet", ["warning"]), (None, ["info", "warning"]), ("--verbose", ["debug", "info", "warning"])],
)
def test_quiet_and_verbose_change_what_is_said_on_standard_error(
    flag: str | None, levels: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    def command(_: argparse.Namespace) -> cli.Result:
        for level in ("debug", "info", "warning"):
            getattr(cli.log, level)(level)
        return {}

    assert cli.run(parser_of(command), ["data", *([flag] if flag else [])]) == 0
    assert capsys.readouterr().err.split() == levels


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "required"),
        (["fly"], "invalid choice: 'fly'"),
        (["train", "--epoch", "3"], "unrecognized arguments: --epoch"),
        (["train", "--epochs", "many"], "--epochs: expected int. Received: 'many'"),
        (["train", "--preset", "huge"], "invalid choice: 'huge'"),
        (["train", "--quiet", "--verbose"], "not allowed with"),
        (["train", "--resume", "--overwrite"], "not allowed with"),
        (["predict", "a.csv", "--output", "b.csv"], "--run-dir --model-dir is required"),
        (["predict", "a.csv", "--output", "b.csv", "--run-dir", "r", "--model-dir", "m"], "not allowed with"),
        (["predict", "a.csv", "--output", "b.csv", "--run-dir", "r", "--chunk-rows", "0"], "--chunk-rows"),
        (["predict", "--run-dir", "r", "--output", "b.csv"], "INPUT"),
        (["explain"], "INPUT"),
        (["export"], "--output-dir"),
        (["export", "--output-dir", "o", "--format", "pickle"], "invalid choice: 'pickle'"),
        (["serve"], "--model-dir"),
        (["serve", "--model-dir", "m", "--port", "http"], "--port"),
        (["serve", "--model-dir", "m", "--port", "70000"], "--port"),
        (["monitor"], "--model-dir"),
        (["evaluate", "--split", "holdout"], "invalid choice: 'holdout'"),
        (["tune", "--trials", "0"], "--trials"),
        (["data", "--seed", "-1"], "seed"),
    ],
)
def test_bad_usage_exits_2_and_names_the_option(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        raise SystemExit(cli.run(result({}), argv))
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert len(said.splitlines()) == 1, "one message, not a page of usage"


def test_a_value_out_of_range_exits_2_and_names_the_field(capsys: pytest.CaptureFixture[str]) -> None:
    parser = parser_of(lambda arguments: {"epochs": cli.resolve_config(Toy, arguments).epochs})
    assert cli.run(parser, ["train", "--epochs", "0"]) == 2
    assert "epochs: expected at least 1. Received: 0" in capsys.readouterr().err


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_the_common_options_once(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.run(result({}), [verb, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for option in ("--seed", "--verbose", "--quiet", "--json"):
        assert option in text


def test_the_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.run(result({}), ["--version"])
    assert capsys.readouterr().out == f"fieldnets {importlib.metadata.version('fieldnets')}\n"


def test_a_reader_that_goes_away_early_is_no_error(environment: dict[str, str]) -> None:
    command = [sys.executable, "-c", TOY, "data", "--json"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"{\n"
        process.stdout.close()
        said = process.stderr.read().decode()
    assert process.returncode == 0, said
    assert said == "a library prints this\n"


# Called as a shell does: the exit code is that of the toy, not of what reads it.
READERS = {
    "| true": "{toy} {options} | true; exit ${PIPESTATUS[0]}",
    "| head -c 1": "{toy} {options} | head -c 1 >&2; exit ${PIPESTATUS[0]}",
    ">&-": "{toy} {options} >&-",
    "2>&-": "{toy} {options} 2>&-",
    "<&- >&- 2>&-": "{toy} {options} <&- >&- 2>&-",
    "2>/dev/full": "{toy} {options} 2>/dev/full",
    "2>&1 | true": "{toy} {options} 2>&1 | true; exit ${PIPESTATUS[0]}",
    ">/dev/null": "{toy} {options} >/dev/null",
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("code", "options"), [(3, ""), (3, "--json"), (0, "")])
def test_the_exit_code_is_the_works_own_whoever_reads(
    tmp_path: pathlib.Path, environment: dict[str, str], reader: str, code: int, options: str
) -> None:
    done = "def done():\n    open('done', 'w').write('all of it')\n    print('x' * 100_000, file=sys.stderr)\n"
    (tmp_path / "toy.py").write_text(
        done + TOY.replace("20_000))}", f"20_000)), 'done': done(), 'exit_code': {code}}}")
    )
    script = READERS[reader].replace("{toy}", f"{sys.executable} toy.py data").replace("{options}", options)
    finished = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert finished.returncode == code, finished.stderr[-500:]
    assert (tmp_path / "done").read_text() == "all of it"
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize(("code", "expected"), [(0, 2), (3, 3)])
def test_a_full_standard_output_is_said_and_never_hides_the_code_of_a_gate(
    tmp_path: pathlib.Path, environment: dict[str, str], code: int, expected: int
) -> None:
    (tmp_path / "toy.py").write_text(TOY.replace("20_000))}", f"20_000)), 'exit_code': {code}}}"))
    for options in ("", " --json"):
        script = f"{sys.executable} toy.py data{options} >/dev/full"
        finished = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert finished.returncode == expected
        assert finished.stderr.splitlines()[-1] == (
            "toy: the work is done; its result cannot be printed: No space left on device"
        )


def test_no_file_of_the_work_gets_the_number_of_a_closed_stream(
    tmp_path: pathlib.Path, environment: dict[str, str]
) -> None:
    opening = TOY.replace('print("a library prints this")', 'print(open("table", "w").fileno(), file=open("n", "w"))')
    script = 'exec "$0" -c "$1" data <&- >&- 2>&-'
    subprocess.run(["bash", "-c", script, sys.executable, opening], cwd=tmp_path, env=environment, check=True)
    assert int((tmp_path / "n").read_text()) > 2
    assert (tmp_path / "table").read_text() == ""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_result_is_printed_whatever_the_encoding_of_the_stream(environment: dict[str, str], encoding: str) -> None:
    odd = "né😀" + os.fsdecode(b"\xff")
    toy = TOY.replace("list(range(20_000))", repr(odd))
    for options in ([], ["--json"]):
        finished = subprocess.run(
            [sys.executable, "-c", toy, "data", *options],
            env={**environment, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
            capture_output=True,
            check=True,
        )
    assert json.loads(finished.stdout.decode(encoding)) == {"rows": odd}


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "expected room to write"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x"), "expected a path that can be used"),
        (UnicodeEncodeError("utf-8", "d/b\udcff.png", 3, 4, "surrogates not allowed"), r"Received: d/b\xff.png"),
    ],
)
def test_a_full_disk_or_an_odd_name_is_no_fault_of_the_program(
    error: Exception, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(raising(error), ["train"]) == 2
    assert said in capsys.readouterr().err


def test_help_imports_nothing_heavy(environment: dict[str, str]) -> None:
    command = [sys.executable, "-X", "importtime", "-c", TOY, "train", "--help"]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "--epochs" in finished.stdout
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in finished.stderr.splitlines()}
    assert "argparse" in imported
    assert not imported & {"tensorflow", "keras", "numpy", "pandas", "scipy", "sklearn", "matplotlib", "rich"}


@pytest.mark.parametrize("output", ["{input}", "{folder}/./rows.csv"])
def test_no_verb_writes_over_what_it_reads(
    tmp_path: pathlib.Path, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "rows.csv"
    source.write_text("text\nfine\n")
    parser = parser_of(lambda _arguments: pytest.fail("the verb ran"))
    named = output.format(input=source, folder=tmp_path)
    for verb in (
        ["predict", "--run-dir", "r", str(source), "--output", named, "--overwrite"],
        ["explain", str(source), "--output", named],
        ["data", "--data", str(source), "--write", str(tmp_path), "--overwrite"],
    ):
        assert cli.run(parser, verb) == 2
        assert "none of the inputs" in capsys.readouterr().err
    assert source.read_text() == "text\nfine\n"
