"""What surrounds every call of the Python API: errors of ours, nothing left changed in the process, progress if asked.

One call at a time: Keras and TensorFlow keep seeds and precision for a whole process.
"""

import contextlib
import pathlib
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from shared import cli, config, errors, launch, progress
from shared.training import process_state

_ONE_AT_A_TIME = threading.RLock()
# What the code of a process that was ended by the user is, as shells have it.
_INTERRUPTED = 130


@contextlib.contextmanager
def call(*, shown: bool = False) -> Iterator[None]:
    """Run a verb for a program.

    Args:
        shown: Whether progress is drawn on standard error, or in the notebook.

    Raises:
        errors.InputError: Bad input; also for an error of the system that is of a path, a disk or memory.
        errors.FieldnetsError: Another state that the verb could not go on from.
    """
    with _ONE_AT_A_TIME, process_state.kept(), progress.wanted(shown):
        try:
            yield
        except launch.EndedError as error:
            if error.code == _INTERRUPTED:
                raise KeyboardInterrupt from None
            kind = errors.InputError if error.code == errors.InputError.exit_code else errors.FieldnetsError
            raise kind(f"{error}: what it was is in the log") from None
        except errors.FieldnetsError:
            raise
        except Exception as error:
            if said := cli.said_of_system(error):
                raise errors.InputError(said) from error
            raise


def settings_of(
    config_class: type[config.Config],
    given: Mapping[str, Any],
    *,
    preset: str | None = None,
    config_file: str | pathlib.Path | None = None,
) -> Any:
    """Return a preset, changed by a config file, changed by keyword arguments: as the command line's flags do.

    Args:
        config_class: The app's.
        given: Settings by name; lists and paths are taken, too, and one value where a setting takes several.
        preset: ``smoke``, ``quick`` or ``default``; None: the last.
        config_file: Settings in JSON or YAML.

    Raises:
        errors.InputError: A name is unknown, or a value is not allowed.
    """
    presets = config_class.presets()
    name = preset or cli.DEFAULT_PRESET
    if name not in presets:
        raise errors.InputError(f"preset: expected one of {', '.join(presets)}. Received: {preset!r}")
    base = presets[name]()
    if config_file is not None:
        base = config.load(config_class, pathlib.Path(config_file), base=base)
    several = [each for each, declared in config.field_types(config_class).items() if config.is_sequence(declared)]
    as_lists = {
        each: [value] if each in several and not isinstance(value, list | tuple) else value
        for each, value in given.items()
    }
    return config_class.from_json(plain(as_lists), base=base, where="settings")


def plain(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as JSON has them: paths as text, tuples as lists.

    >>> plain({"data": (pathlib.PurePosixPath("a.csv"), "b.csv"), "epochs": 3})
    {'data': ['a.csv', 'b.csv'], 'epochs': 3}
    """
    return {name: _plain(value) for name, value in given.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, pathlib.PurePath):
        return str(value)
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def refuse_unknown(given: Mapping[str, Any], known: list[str], what: str) -> None:
    """Refuse a keyword argument that is none of those known.

    Raises:
        errors.InputError: There is one; the message names the closest that is known.
    """
    for name in given:
        if name not in known:
            hint = errors.meant(name, known).strip() or f"Known: {', '.join(known)}."
            raise errors.InputError(f"{what}: expected a known option. Received: {name!r}. {hint}")
