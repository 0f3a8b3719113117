import argparse
import dataclasses
import importlib
import json
import pathlib
import string
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import config, errors


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(config.Config):
    epochs: int = config.setting(3, "passes", unit="epochs", minimum=1, maximum=100)
    rate: float = config.setting(0.5, "100 % of the step", minimum=0.0)
    cell: str = config.setting("gru", "recurrent cell", choices=("gru", "lstm"))
    bad: bool = config.setting(False, "go on")
    windows: tuple[int, ...] = config.setting((3,), "widths", minimum=1)
    sources: tuple[str, ...] = config.setting(("built-in",), "sources")
    column: str | None = config.setting(None, "column")
    limit: int | None = config.setting(None, "rows", minimum=1)
    batch: int | str = config.setting(64, "rows, or all")

    @classmethod
    def default(cls) -> "Settings":
        return cls()

    @classmethod
    def smoke(cls) -> "Settings":
        return cls(epochs=1)

    @classmethod
    def quick(cls) -> "Settings":
        return cls(epochs=2)


def parse(*flags: str, names: tuple[str, ...] | None = None) -> Settings:
    parser = argparse.ArgumentParser(allow_abbrev=False, exit_on_error=False)
    config.add_flags(parser, Settings, names or tuple(config.field_types(Settings)))
    parsed: Settings = config.from_flags(Settings, parser.parse_args(flags), base=Settings())
    return parsed


any_settings = st.builds(
    Settings,
    epochs=st.integers(1, 100),
    rate=st.floats(0, 1e9),
    cell=st.sampled_from(["gru", "lstm"]),
    bad=st.booleans(),
    windows=st.lists(st.integers(1, 9), min_size=1).map(tuple),
    sources=st.lists(st.text(string.ascii_letters, min_size=1), min_size=1).map(tuple),
    column=st.none() | st.text(string.ascii_letters).filter(lambda text: text.lower() != "none"),
    limit=st.none() | st.integers(1, 10**9),
    batch=st.integers(-5, 5) | st.just("all"),
)


@given(any_settings)
def test_a_config_survives_its_own_json_file(settings: Settings) -> None:
    assert Settings.from_json(json.loads(json.dumps(settings.to_json()))) == settings


@given(any_settings)
def test_every_config_can_be_written_as_flags(settings: Settings) -> None:
    flags: list[str] = []
    for name, value in settings.to_json().items():
        if isinstance(value, bool):
            flags.append(f"--{name}" if value else f"--no-{name}")
        elif isinstance(value, list):
            flags += [f"--{name}", *map(str, value)]
        else:
            flags.append(f"--{name}={value}")
    assert parse(*flags) == settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs: expected at least 1. Received: 0"),
        ({"epochs": 101}, "epochs: expected at most 100. Received: 101"),
        ({"epochs": 1.5}, "epochs: expected int. Received: 1.5"),
        ({"epochs": True}, "epochs: expected int. Received: True"),
        ({"epochs": None}, "epochs: expected int. Received: None"),
        ({"rate": float("nan")}, "rate: expected a finite number. Received: nan"),
        ({"rate": float("inf")}, "rate: expected a finite number. Received: inf"),
        ({"rate": "0.1"}, "rate: expected float. Received: '0.1'"),
        ({"cell": "transformer"}, "cell: expected one of gru, lstm. Received: 'transformer'"),
        ({"bad": 1}, "bad: expected bool. Received: 1"),
        ({"windows": [3]}, "windows: expected a list. Received: [3]"),
        ({"windows": (3, 0)}, "windows: expected at least 1. Received: 0"),
        ({"windows": ("3",)}, "windows: expected int. Received: '3'"),
        ({"limit": 0}, "limit: expected at least 1. Received: 0"),
        ({"batch": 0.5}, "batch: expected int|str. Received: 0.5"),
    ],
)
def test_a_value_that_is_not_allowed_is_named_with_what_was_expected(changes: dict[str, object], message: str) -> None:
    with pytest.raises(errors.InputError) as caught:
        Settings().replace(changes)
    assert str(caught.value) == message


def test_a_config_cannot_be_changed_in_place() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().epochs = 5  # type: ignore[misc]


def test_the_presets_have_the_three_agreed_names() -> None:
    presets = {name: build().epochs for name, build in Settings.presets().items()}
    assert presets == {"smoke": 1, "quick": 2, "default": 3}


def test_a_file_changes_only_the_fields_it_names(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"windows": [2, 3], "rate": 1}')
    loaded = config.load(Settings, path, base=Settings.quick())
    assert loaded == Settings(epochs=2, windows=(2, 3), rate=1.0)
    assert type(loaded.rate) is float


def test_an_unknown_setting_in_a_file_is_answered_with_the_nearest_known_one(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"epoch": 3}')
    with pytest.raises(errors.InputError, match=r"settings.json: .*'epoch'\. Did you mean 'epochs'\?"):
        config.load(Settings, path)


@pytest.mark.parametrize("make", [lambda: parse("--cell", "lsmt"), lambda: Settings.from_json({"cell": "lsmt"})])
def test_a_wrong_choice_is_answered_with_the_nearest_one(make: Callable[[], Settings]) -> None:
    with pytest.raises(errors.InputError, match=r"one of gru, lstm. Received: 'lsmt'\. Did you mean 'lstm'\?"):
        make()


def test_an_unknown_setting_that_resembles_none_is_answered_with_all_names() -> None:
    with pytest.raises(errors.InputError, match=r"Known: seed, deterministic, precision, strategy, epochs, rate, cell"):
        Settings.from_json({"zzz": 1})


def test_no_flag_means_no_change() -> None:
    base = Settings(epochs=9, windows=(7,))
    parser = argparse.ArgumentParser()
    config.add_flags(parser, Settings, ["epochs", "windows"])
    assert config.from_flags(Settings, parser.parse_args([]), base=base) == base


def test_a_list_flag_may_be_given_at_once_or_several_times() -> None:
    assert parse("--windows", "2", "3").windows == parse("--windows", "2", "--windows", "3").windows == (2, 3)


def test_none_can_be_said_on_the_command_line() -> None:
    base = Settings(limit=5)
    parser = argparse.ArgumentParser()
    config.add_flags(parser, Settings, ["limit"])
    assert config.from_flags(Settings, parser.parse_args(["--limit", "none"]), base=base).limit is None


def test_a_flag_with_text_where_a_number_belongs_is_refused_by_the_parser() -> None:
    with pytest.raises(argparse.ArgumentError, match=r"expected int\. Received: 'many'"):
        parse("--epochs", "many")


def test_only_the_fields_named_become_flags_and_help_shows_unit_choices_and_percent_signs() -> None:
    parser = argparse.ArgumentParser()
    config.add_flags(parser, Settings, ["epochs", "rate", "cell"])
    text = parser.format_help()
    assert "--windows" not in text
    assert "passes [epochs]" in text
    assert "100 % of the step" in text
    assert "gru|lstm" in text


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optional(config.Config):
    """A choice that may be left open."""

    optimizer: str | None = config.setting(None, "optimiser", choices=(None, "sgd"))


def test_no_choice_is_written_as_a_flag_takes_it() -> None:
    parser = argparse.ArgumentParser()
    config.add_flags(parser, Optional, ["optimizer"])
    assert "--optimizer none|sgd" in parser.format_help()
    found = config.from_flags(Optional, parser.parse_args(["--optimizer", "none"]), base=Optional(optimizer="sgd"))
    assert found.optimizer is None
    with pytest.raises(errors.InputError, match="expected one of none, sgd"):
        Optional(optimizer="adam")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'\xef\xbb\xbf{"epochs": 7}', ""),
        (b'{"epochs": 7, "epochs": 8}', "'epochs' twice"),
        (b'{"epochs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "too deep to be read"),
        (b'{"rate": NaN}', "NaN, which is no number"),
        (b'{"rate": 1e999}', "rate: expected a finite number"),
        (b'{"rate": 1' + b"0" * 400 + b"}", "rate: expected a finite number"),
        (b'{"epochs": 1' + b"0" * 400 + b"}", "epochs: expected at most 100"),
        (b'{"epochs": 1' + b"0" * 5_000 + b"}", "expected valid JSON"),
        (b"[]", "expected a JSON object"),
        (b"\xff\xfe{\x00}\x00", "expected valid JSON"),
    ],
)
def test_a_config_file_is_read_strictly_but_for_a_byte_order_mark(
    tmp_path: pathlib.Path, content: bytes, said: str
) -> None:
    (tmp_path / "settings.json").write_bytes(content)
    if not said:
        assert config.load(Settings, tmp_path / "settings.json").epochs == 7
        return
    with pytest.raises(errors.InputError, match=said):
        config.load(Settings, tmp_path / "settings.json")


@pytest.mark.parametrize("app", ["medical_imaging", "fraud_detection", "driving_perception", "sentiment"])
def test_smoke_settings_are_told_from_the_others_whatever_the_data(app: str) -> None:
    settings = importlib.import_module(f"apps.{app}.config").Config
    assert settings.smoke().is_smoke()
    assert settings.smoke().replace({"seed": 7, "data": ("elsewhere",)}).is_smoke()
    assert not settings.quick().is_smoke()
    assert not settings.default().is_smoke()
