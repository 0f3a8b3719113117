"""Configuration as one frozen dataclass per app: validated, readable from flags and JSON, written to the run.

An app declares its fields once::

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Config(config.Config):
        epochs: int = config.setting(3, "passes over the training part", unit="epochs", minimum=1)

and gets from here the command-line flag ``--epochs``, its help, its checks and its place in ``config.json``.
"""

import argparse
import dataclasses
import math
import os
import pathlib
import re
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from shared import errors, files

# What begins the name of a preset of KerasHub.
PRESET = "hub:"
# Below 2^32, which NumPy's generators take, with room for the seeds of a run's other networks.
LARGEST_SEED = 4_000_000_000
# Of a config file: where its schema is, which is no setting.
SCHEMA = "$schema"
_YAML = (".yaml", ".yml")
_EXPONENT = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$")
# How fields that hold a path are called.
_PATHS = ("_file", "_dir")


def setting(
    default: Any,
    help: str,
    *,
    unit: str = "",
    choices: Sequence[Any] = (),
    minimum: float | None = None,
    maximum: float | None = None,
) -> Any:
    """Declare a config field.

    Args:
        default: Its value when nothing else is said; immutable.
        help: One line for ``--help``.
        unit: Physical or counting unit, shown in the help.
        choices: The only values allowed, when not empty.
        minimum: Smallest value allowed.
        maximum: Largest value allowed.
    """
    metadata = {"help": help, "unit": unit, "choices": tuple(choices), "minimum": minimum, "maximum": maximum}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Base of every app's config: what each training is settled by, and checks of all fields.

    Raises:
        errors.InputError: A value has the wrong type, is outside its range, or is not among its choices.
    """

    seed: int = setting(0, "seed of every random choice", minimum=0, maximum=LARGEST_SEED)
    deterministic: bool = setting(True, "bit-identical repeats, at some cost in speed")
    precision: str = setting("float32", "arithmetic", choices=("float32", "mixed_float16", "mixed_bfloat16"))
    strategy: str = setting("auto", "device strategy", choices=("auto", "none", "mirrored"))

    def __post_init__(self) -> None:
        """Check every field against its declared type and limits."""
        for field in dataclasses.fields(self):
            _check(field, getattr(self, field.name), field_types(type(self))[field.name])

    @classmethod
    def presets(cls) -> dict[str, Callable[[], Self]]:
        """Return the named starting points ``smoke``, ``quick`` and ``default``."""
        return {"smoke": cls.smoke, "quick": cls.quick, "default": cls.default}

    @classmethod
    def smoke(cls) -> Self:
        """Seconds: for tests."""
        raise NotImplementedError

    @classmethod
    def quick(cls) -> Self:
        """A few minutes: what the demo runs."""
        raise NotImplementedError

    @classmethod
    def default(cls) -> Self:
        """The best this machine can do in tens of minutes."""
        raise NotImplementedError

    def is_smoke(self) -> bool:
        """Return whether these settings lie nearer to the preset ``smoke`` than to any other: not for use.

        Distance is the number of settings that differ, of those in which the presets differ from one another.
        """
        presets = {name: vars(make()) for name, make in self.presets().items()}
        first = presets["smoke"]
        telling = [name for name in first if any(each[name] != first[name] for each in presets.values())]
        far = {name: sum(vars(self)[each] != values[each] for each in telling) for name, values in presets.items()}
        return bool(telling) and all(far["smoke"] < far[name] for name in far if name != "smoke")

    def replace(self, changes: Mapping[str, Any]) -> Self:
        """Return a copy with some fields changed, checked again."""
        return dataclasses.replace(self, **dict(changes))

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able mapping that ``from_json`` turns back into an equal config."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], *, base: Self | None = None, where: str = "config") -> Self:
        """Build a config from a mapping; fields not named come from ``base`` (default: the ``default`` preset).

        Raises:
            errors.InputError: A name is unknown or a value is not allowed.
        """
        declared = field_types(cls)
        for name in content:
            if name not in declared:
                raise errors.InputError(f"{where}: {_unknown_field(name, list(declared))}")
        values = {name: _from_json_value(value, declared[name]) for name, value in content.items()}
        try:
            return (base or cls.default()).replace(values)
        except errors.InputError as error:
            raise errors.InputError(f"{where}: {error}") from None


def absolute(settings: Config) -> Any:
    """Return settings whose paths do not depend on the current folder; names of built-in sources stay.

    Paths are the sources that exist, and what fields are called ``..._file``, ``..._dir`` or ``schema``.
    """
    names = {name for field in dataclasses.fields(settings) for name in field.metadata["choices"]}
    names |= set(getattr(type(settings).default(), "data", ()))
    changes: dict[str, Any] = {}
    for name, value in vars(settings).items():
        if name == "data" and isinstance(value, tuple):
            changes[name] = tuple(each if each in names else _absolute(each) for each in value)
        elif isinstance(value, str) and (name.endswith(_PATHS) or name == "schema"):
            changes[name] = _absolute(value)
    return settings.replace(changes)


def _absolute(path: str) -> str:
    """Return an absolute path to what exists; what does not is the name of a source, or refused where it is read."""
    return os.path.abspath(path) if os.path.exists(path) else path


def load(cls: type[Config], path: pathlib.Path, *, base: Config | None = None) -> Any:
    """Read a config file written by hand, by ``init``, ``train`` or ``tune``: JSON, or YAML where its name ends so.

    Raises:
        errors.InputError: It cannot be read, a name is unknown or a value is not allowed.
    """
    content = _read_yaml(path) if path.suffix.lower() in _YAML else files.read_json(path)
    named = {name: value for name, value in content.items() if name != SCHEMA}
    return cls.from_json(named, base=base, where=str(path))


def _read_yaml(path: pathlib.Path) -> Mapping[str, Any]:
    import yaml

    class Loader(yaml.SafeLoader):
        """YAML 1.2's numbers: in 1.1 ``1e-3`` is a text."""

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+0123456789."))
    try:
        content = yaml.load(path.read_text("utf-8-sig"), Loader)
    except OSError as error:
        raise errors.InputError(f"{path}: expected a YAML file. Received: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise errors.InputError(f"{path}: expected valid YAML. Received: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise errors.InputError(f"{path}: expected names and values. Received: {type(content).__name__}")
    return content


def field_types(cls: type[Config]) -> dict[str, Any]:
    """Return each field's resolved type."""
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def add_flags(
    parser: argparse.ArgumentParser, cls: type[Config], names: Sequence[str], *, of_source: Sequence[str] = ()
) -> None:
    """Add one flag for each field named; a flag that is not given leaves no attribute in the namespace.

    Args:
        parser: Where to.
        cls: The config class.
        names: Its fields to add.
        of_source: Those of them that say how to read a source.
    """
    titles = (
        "reading the source",
        "networks and training (defaults come from the preset)",
        "repeatability and devices",
    )
    groups = [parser.add_argument_group(title) for title in titles]
    own = {field.name for field in dataclasses.fields(Config)}
    for field in dataclasses.fields(cls):
        if field.name not in names:
            continue
        group = groups[0 if field.name in of_source else 2 if field.name in own else 1]
        declared = field_types(cls)[field.name]
        unit = f" [{field.metadata['unit']}]" if field.metadata["unit"] else ""
        options: dict[str, Any] = {"dest": field.name, "default": argparse.SUPPRESS}
        options["help"] = (field.metadata["help"] + unit).replace("%", "%%")
        flag = "--" + field.name.replace("_", "-")
        if declared is bool:
            group.add_argument(flag, action=argparse.BooleanOptionalAction, **options)
            continue
        options["type"] = _parser_of(declared)
        options["metavar"] = "|".join(map(_plain, field.metadata["choices"])) or _type_name(declared).upper()
        if is_sequence(declared):
            options.update(nargs="+", action="extend")
        group.add_argument(flag, **options)


def from_flags(cls: type[Config], namespace: argparse.Namespace, *, base: Config) -> Any:
    """Apply the flags that were given on top of ``base``."""
    given = {name: getattr(namespace, name) for name in field_types(cls) if hasattr(namespace, name)}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    return base.replace(values)


def is_preset(backbone: str) -> bool:
    """Return whether a backbone is named as a preset of KerasHub, see ``shared.models.pretrained``.

    >>> is_preset("hub:densenet_121_imagenet"), is_preset("densenet121"), is_preset("hub:")
    (True, False, False)
    """
    return backbone.startswith(PRESET) and backbone != PRESET


def check(condition: bool, name: str, expected: str, received: Any) -> None:
    """Raise the standard error about a setting where ``condition`` does not hold.

    Raises:
        errors.InputError: It does not hold.
    """
    if not condition:
        raise errors.InputError(f"{name}: expected {expected}. Received: {received!r}")


def _unknown_field(name: str, known: list[str]) -> str:
    hint = errors.meant(name, known) or f" Known: {', '.join(known)}."
    return f"expected a known setting. Received: {name!r}.{hint}"


def _plain(choice: Any) -> str:
    """Return a choice as a flag takes it."""
    return "none" if choice is None else str(choice)


def is_sequence(declared: Any) -> bool:
    """Tell whether a field's type takes several values.

    >>> is_sequence(tuple[int, ...]), is_sequence(int | None)
    (True, False)
    """
    return typing.get_origin(declared) is tuple


def element_type(declared: Any) -> Any:
    """Return the type of one value, such as ``int`` for ``tuple[int, ...]``."""
    if is_sequence(declared):
        return typing.get_args(declared)[0]
    return declared


def member_types(declared: Any) -> tuple[Any, ...]:
    """Return the alternatives of a union, or the type itself."""
    if isinstance(declared, types.UnionType) or typing.get_origin(declared) is typing.Union:
        return typing.get_args(declared)
    return (declared,)


def _parser_of(declared: Any) -> Callable[[str], Any]:
    alternatives = member_types(element_type(declared))

    def parse(text: str) -> Any:
        if type(None) in alternatives and text.lower() == "none":
            return None
        for kind in (int, float, str):
            if kind in alternatives:
                try:
                    return kind(text)
                except ValueError:
                    continue
        raise argparse.ArgumentTypeError(f"expected {_type_name(declared)}. Received: {text!r}")

    return parse


def _type_name(declared: Any) -> str:
    names = [member.__name__ for member in member_types(element_type(declared)) if member is not type(None)]
    return "|".join(names)


def _from_json_value(value: Any, declared: Any) -> Any:
    if is_sequence(declared) and isinstance(value, list):
        return tuple(value)
    if isinstance(value, int) and not isinstance(value, bool) and declared is float:
        # No float is that large: the check of the field says so.
        return float(value) if abs(value) <= sys.float_info.max else math.inf
    return value


def _check(field: dataclasses.Field[Any], value: Any, declared: Any) -> None:
    if is_sequence(declared):
        check(isinstance(value, tuple), field.name, "a list", value)
        for element in value:
            _check_one(field, element, element_type(declared))
    else:
        _check_one(field, value, declared)


def _check_one(field: dataclasses.Field[Any], value: Any, declared: Any) -> None:
    name, limits = field.name, field.metadata
    check(_is_instance(value, member_types(declared)), name, _type_name(declared), value)
    choices, minimum, maximum = limits["choices"], limits["minimum"], limits["maximum"]
    if choices and value not in choices:
        known = list(map(_plain, choices))
        meant = errors.meant(str(value), known)
        raise errors.InputError(
            f"{name}: expected one of {', '.join(known)}. Received: {value!r}{meant and f'.{meant}'}"
        )
    if isinstance(value, int | float) and not isinstance(value, bool):
        check(isinstance(value, int) or math.isfinite(value), name, "a finite number", value)
        check(minimum is None or value >= minimum, name, f"at least {minimum}", value)
        check(maximum is None or value <= maximum, name, f"at most {maximum}", value)


def _is_instance(value: Any, allowed: tuple[Any, ...]) -> bool:
    if isinstance(value, bool):
        return bool in allowed
    if isinstance(value, int) and float in allowed:
        return True
    return isinstance(value, allowed)
