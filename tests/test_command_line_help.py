"""Help, hints, config files to begin with, and completion, of every command: what a newcomer meets first."""

import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from apps import __main__ as fieldnets
from apps import api
from shared import completion, config, config_files, errors, usage, verbs
from tests import helpers

PAGE = (helpers.ROOT / "docs" / "command_line.md").read_text("utf-8")
LINES = [
    line for block in re.findall(r"^```\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL) for line in block.splitlines()
]
PROGRAMS = (*api.NAMES, "fieldnets")


def parser_of(program: str) -> usage.Parser:
    return fieldnets.build_parser() if program == "fieldnets" else verbs.build_parser(api.find(program))


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_help_of_every_verb_ends_with_two_examples_that_are_understood(program: str) -> None:
    parser = parser_of(program)
    for name, verb in parser.verbs().items():
        assert len(verb.examples) == 2, name
        for example in verb.examples:
            assert example in verb.format_help()
            first, *words = example.partition(" > ")[0].partition(" | ")[0].replace('"', "").split()
            if "Not" in words:
                words[words.index("Not") : words.index("all.") + 1] = ["Not bad at all."]
            assert (first, words[0]) == (program, name)
            assert parser.parse_args(words).command is not None


@pytest.mark.parametrize("program", api.NAMES)
def test_help_of_many_options_shows_a_newcomers_first_and_each_once(program: str) -> None:
    for verb in parser_of(program).verbs().values():
        shown = verb.format_help()
        for action in verb._actions:
            if action.option_strings:
                assert shown.count(f"\n  {', '.join(action.option_strings)}"[:20]) >= 1
        if "common options" in shown:
            common = shown.partition("common options:")[2].partition("\n\n")[0]
            listed = [line for line in common.splitlines() if line.startswith("  --")]
            assert 4 <= len(listed) <= usage.MOST_COMMON
            assert shown.index("common options") < shown.index("further options")
    train = parser_of(program).verbs()["train"].format_help()
    titles = (
        "common options:",
        "reading the source:",
        "networks and training",
        "repeatability and devices:",
        "examples:",
    )
    places = [train.index(title) for title in titles]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["train", "--epoch", "3"], "did you mean --epochs?"),
        (["train", "--preste=quick"], "did you mean --preset?"),
        (["trian"], "did you mean train?"),
        (["train", "--preset", "smok"], "did you mean smoke?"),
        (["train", "--zzz"], "unrecognized arguments: --zzz (`sentiment train --help`"),
    ],
)
def test_a_wrong_word_is_answered_with_the_one_that_was_meant(
    words: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parser_of("sentiment").parse_args(words)
    said = capsys.readouterr().err
    assert (ended.value.code, meant in said, len(said.splitlines())) == (2, True, 1), said


def test_fraud_explain_says_how_a_row_of_a_file_is_named() -> None:
    shown = parser_of("fraud-detection").verbs()["explain"].format_help()
    assert "FILE:ID" in shown


@pytest.mark.parametrize("name", api.NAMES)
@pytest.mark.parametrize("preset", ["smoke", "quick", "default"])
@pytest.mark.parametrize("suffix", [".yaml", ".json"])
def test_init_writes_a_config_that_is_the_preset(name: str, preset: str, suffix: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / f"mine{suffix}"
    assert fieldnets.main(["init", name, "--preset", preset, "--output", str(path), "--quiet"]) == 0
    found = api.find(name).config
    # On top of another preset: every setting stands in the file.
    assert config.load(found, path, base=found.smoke()) == found.presets()[preset]()
    assert fieldnets.main(["init", name, "--output", str(path), "--quiet"]) == 2
    assert fieldnets.main(["init", name, "--output", str(path), "--quiet", "--overwrite"]) == 0
    assert fieldnets.main(["init", name, "--output", str(tmp_path / "mine.toml"), "--quiet"]) == 2


@pytest.mark.parametrize("name", api.NAMES)
def test_every_setting_is_commented_and_in_the_schema_which_takes_the_presets(name: str) -> None:
    found = api.find(name).config
    schema = config_files.schema(found, title="x")
    text = config_files.commented(found.default(), head="head", schema_file="x.schema.json")
    lines = text.splitlines()
    for setting in config.field_types(found):
        place = next(number for number, line in enumerate(lines) if line.startswith(f"{setting}: "))
        assert lines[place - 1].startswith("# ")
        assert schema["properties"][setting]["description"]
    jsonschema = pytest.importorskip("jsonschema")
    for preset in found.presets().values():
        jsonschema.validate({config.SCHEMA: "x.schema.json", **preset().to_json()}, schema)
    for wrong in ({"epoch": 3}, {"seed": -1}, {"precision": "float8"}, {"data": "a.csv"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def test_yaml_is_read_as_json_is_and_faults_name_the_file(tmp_path: pathlib.Path) -> None:
    found = api.find("sentiment").config
    path = tmp_path / "mine.yaml"
    path.write_text("# mine\nlearning_rate: 1e-3\nepochs: 3\nmembers: [cnn]\ntext_column: null\n")
    expected = found.default().replace({"learning_rate": 0.001, "epochs": 3, "members": ("cnn",)})
    assert config.load(found, path) == expected
    for text, said in (
        ("epoch: 3", "Did you mean 'epochs'"),
        ("epochs: [", "expected valid YAML"),
        ("- 1", "expected names and values"),
        ("epochs: three", "expected int"),
        ("!!python/object/apply:os.system ['true']", "expected valid YAML"),
    ):
        path.write_text(text)
        with pytest.raises(errors.InputError, match=said) as raised:
            config.load(found, path)
        assert str(raised.value).startswith(str(path))
    with pytest.raises(errors.InputError, match="expected a YAML file"):
        config.load(found, tmp_path / "none.yml")


def completed(script: pathlib.Path, program: str, *words: str) -> list[str]:
    """Return what bash completes the last word with."""
    listed = " ".join(f"'{word}'" for word in (program, *words))
    name = program.replace("-", "_")
    command = (
        f"source {script}; COMP_WORDS=({listed}); COMP_CWORD={len(words)}; _fieldnets_{name}; echo ${{COMPREPLY[@]}}"
    )
    finished = subprocess.run(["bash", "-c", command], cwd=script.parent, capture_output=True, text=True, check=True)
    assert finished.stderr == ""
    return finished.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on this machine")
def test_bash_completes_verbs_options_choices_and_files(tmp_path: pathlib.Path) -> None:
    script = tmp_path / "fieldnets.bash"
    script.write_text(completion.script("bash", {name: parser_of(name) for name in PROGRAMS}))
    (tmp_path / "reviews.csv").write_text("")
    assert completed(script, "sentiment", "tr") == ["train"]
    assert completed(script, "sentiment", "train", "--pres") == ["--preset"]
    assert completed(script, "sentiment", "train", "--preset", "") == ["smoke", "quick", "default"]
    assert completed(script, "sentiment", "train", "--strategy", "m") == ["mirrored"]
    assert completed(script, "sentiment", "train", "--data", "rev") == ["reviews.csv"]
    assert completed(script, "fraud-detection", "predict", "--hist") == ["--history", "--histories"]
    assert completed(script, "fieldnets", "completion", "") == ["bash", "zsh", "fish"]
    assert completed(script, "fieldnets", "init", "fr") == ["fraud-detection"]


@pytest.mark.parametrize("shell", fieldnets.SHELLS)
def test_every_shell_has_a_script_of_all_commands(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert fieldnets.main(["completion", shell]) == 0
    said = capsys.readouterr().out
    for program in PROGRAMS:
        for verb in parser_of(program).verbs():
            assert verb in said
    assert "near-duplicate-threshold" in said
    interpreter = shutil.which(shell)
    if interpreter is not None:
        flag = "--no-execute" if shell == "fish" else "-n"
        subprocess.run([interpreter, flag], input=said, text=True, check=True)
    with pytest.raises(errors.InputError, match="SHELL"):
        completion.script("tcsh", {})


def test_help_and_completion_import_nothing_heavy() -> None:
    program = (
        "import sys\nfrom apps import __main__ as m\nm.main(['completion', 'bash'])\nassert 'numpy' not in sys.modules"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program],
        cwd=helpers.ROOT,
        env=helpers.ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize("line", LINES)
def test_every_command_of_the_page_is_understood(line: str) -> None:
    program, *words = shlex.split(
        line.removeprefix("source <(").partition(")")[0].partition(" > ")[0].partition(" | ")[0]
    )
    assert parser_of(program).parse_args(words).command is not None
