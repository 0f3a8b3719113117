"""The command line that every app shares: what a verb returns, its common options, types of flags, and exit codes.

Nothing heavy is imported here, so that ``--help`` answers at once; a command imports TensorFlow when it runs.
"""

import argparse
import contextlib
import csv
import errno
import importlib.metadata
import logging
import math
import pathlib
import re
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from shared import config, errors, files, printing

# What a verb returns: JSON-able; "table" is a list of rows, "exit_code" another code than 0 for a gate that failed.
Result = Mapping[str, Any]
Command = Callable[[argparse.Namespace], Result]
PRESETS = ("smoke", "quick", "default")
DEFAULT_PRESET = "default"

Verbs: TypeAlias = "argparse._SubParsersAction[Any]"

_UNITS = {"mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}

log = logging.getLogger("fieldnets")

# Errors of the system that are of what was asked for.
_OF_PATHS = (errno.ENAMETOOLONG, errno.ELOOP, errno.EROFS)
_OF_DISKS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_OF_HARDWARE = (errno.EIO, errno.EREMOTEIO, errno.ESTALE)
# TensorFlow, HDF5 and SQLite have errors of their own for a full disk, TensorFlow and threads for too little memory.
_SAID_OF_DISKS = ("No space left on device", "Disk quota exceeded", "database or disk is full")
_SAID_OF_MEMORY = (
    *("OOM when allocating", "can't start new thread", "Cannot allocate memory", "bad_alloc"),
    # Of a library that is loaded where no memory is left for it.
    "failed to map segment from shared object",
)


def add_verb(
    verbs: Verbs,
    name: str,
    command: Command,
    *,
    help: str,
    config_class: type[config.Config] | None = None,
    fields: Sequence[str] = (),
    of_source: Sequence[str] = (),
) -> argparse.ArgumentParser:
    """Add one verb with the options that every verb has; ``of_source`` are the fields that say how to read."""
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=help, description=help, allow_abbrev=False)
    parser.set_defaults(command=command)
    if config_class is not None and fields:
        config.add_flags(parser, config_class, fields, of_source=of_source)
    if "seed" not in fields:
        parser.add_argument(
            "--seed", type=at_least(0, config.LARGEST_SEED), default=0, help="seed of every random choice"
        )
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument("--verbose", action="store_true", help="say more on stderr")
    loudness.add_argument("--quiet", action="store_true", help="say only warnings and errors")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")
    return parser


def resolve_config(config_class: type[config.Config], arguments: argparse.Namespace) -> Any:
    """Return the preset, changed by ``--config FILE``, changed by the flags; with ``--resume``, the run's own config.

    Raises:
        errors.InputError: A resumed run would get other settings than it began with.
    """
    begun_with = arguments.run_dir / "config.json" if getattr(arguments, "resume", False) else None
    if begun_with is None or not begun_with.exists():
        return config.absolute(
            config.from_flags(config_class, arguments, base=_starting_point(config_class, arguments))
        )
    renamed = arguments.preset is not None or arguments.config is not None
    base = _starting_point(config_class, arguments) if renamed else config.load(config_class, begun_with)
    return resumed(config.from_flags(config_class, arguments, base=base), arguments.run_dir)


def resumed(wanted: config.Config, run_dir: pathlib.Path) -> Any:
    """Return the settings that the run in a folder began with; those that are wanted where it has not begun.

    Raises:
        errors.InputError: They are others than are wanted.
    """
    begun_with = run_dir / "config.json"
    if not begun_with.exists():
        return config.absolute(wanted)
    begun = config.load(type(wanted), begun_with)
    # A run of before paths were kept absolute, in the folder where it was begun.
    before = vars(config.absolute(begun))
    changed = [name for name, value in vars(config.absolute(wanted)).items() if value != before[name]]
    if changed:
        raise errors.InputError(
            f"{begun_with}: --resume expects the settings that the run began with. Received: another "
            f"{', '.join(changed)}"
        )
    return begun


def source_settings(config_class: type[config.Config], fields: Sequence[str], arguments: argparse.Namespace) -> Any:
    """Return the preset and config file, changed by the flags that say how to read a source, and by the seed.

    Verbs without ``--preset`` and ``--config`` begin with the default.
    """
    given = {name: getattr(arguments, name) for name in fields if hasattr(arguments, name)}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    base = _starting_point(config_class, arguments) if hasattr(arguments, "preset") else config_class.default()
    return base.replace({**values, "seed": arguments.seed})


def refuse_existing(path: pathlib.Path, *, overwrite: bool) -> None:
    """Raise ``errors.InputError`` where ``path`` exists and may not be replaced."""
    if path.exists() and not overwrite:
        raise errors.InputError(f"{path}: expected a new file. Received: one that exists (--overwrite replaces it)")


def _starting_point(config_class: type[config.Config], arguments: argparse.Namespace) -> Any:
    base = config_class.presets()[arguments.preset or DEFAULT_PRESET]()
    return base if arguments.config is None else config.load(config_class, arguments.config, base=base)


def run(parser: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> int:
    """Parse, run the verb, print its result, and return the exit code: 0 done, 1 our fault, 2 input, 3 gate.

    The code is the work's own, whoever reads what is printed; where that cannot be written at all, 0 becomes 2.
    """
    with printing.streams():
        arguments = parser.parse_args(argv)
        _set_up_logging(arguments)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        code, said = _carry_out(parser.prog, arguments)
        try:
            printing.print_text(said)
        except BrokenPipeError:
            pass
        except OSError as error:
            print(f"{parser.prog}: the work is done; its result cannot be printed: {error.strerror}", file=sys.stderr)
            return code or errors.InputError.exit_code
        return code


def _carry_out(program: str, arguments: argparse.Namespace) -> tuple[int, str]:
    """Return the exit code and the text of what the verb returned; "" where it failed, as standard error then says."""
    try:
        _refuse_output_over_input(arguments)
        with contextlib.redirect_stdout(sys.stderr):
            result = arguments.command(arguments)
        return int(result.get("exit_code", 0)), printing.text_of(result, as_json=arguments.json)
    except errors.FieldnetsError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return error.exit_code, ""
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return 130, ""
    except Exception as error:
        if said := said_of_system(error):
            print(f"{program}: {said}", file=sys.stderr)
            return errors.InputError.exit_code, ""
        traceback.print_exc()
        print(f"{program}: this is a fault of the program, not of the input; please report it", file=sys.stderr)
        return 1, ""


def said_of_system(error: Exception) -> str:
    """Return what to say of an error that is of a path, a disk or a name that was given; "" where it is of the code."""
    paths = PermissionError | IsADirectoryError | NotADirectoryError | FileExistsError
    if isinstance(error, paths) or (isinstance(error, OSError) and error.errno in _OF_PATHS):
        return f"expected a path that can be used. Received: {error}"
    if (isinstance(error, OSError) and error.errno in _OF_DISKS) or any(said in str(error) for said in _SAID_OF_DISKS):
        return f"expected room to write. Received: {error}"
    if isinstance(error, OSError) and error.errno in _OF_HARDWARE:
        return f"expected a disk that works. Received: {error}"
    if isinstance(error, MemoryError) or any(said in str(error) for said in _SAID_OF_MEMORY):
        return f"expected more memory, or less to do at a time. Received: {str(error) or 'none that was free'}"
    if isinstance(error, UnicodeEncodeError) and any("\ud800" <= letter <= "\udfff" for letter in error.object):
        return f"expected names and texts in UTF-8. Received: {files.printable(error.object)}"
    return ""


# Options that name what is written, and those that name what is read.
_REPLACED = ("output", "write")
_ADDED_TO = ("output_dir", "annotated")
_READ = ("input", "data", "labels", "config", "split_file", "class_file", "schema")
# What verbs write into an output folder, among what else lies there.
_WRITTEN = frozenset(
    ("metrics.json", "report.html", "predictions.parquet", "split.json", "split.csv", "quarantine.csv", "drift.json")
).union(("data.html", "label_errors.json"))


def _refuse_output_over_input(arguments: argparse.Namespace) -> None:
    """Refuse to write over what is read, whichever the verb, before any work is done.

    Raises:
        errors.InputError: An output is an input.
    """
    inputs = [path for name in _READ for path in _paths(getattr(arguments, name, None))]
    replaced = [path for name in _REPLACED for path in _paths(getattr(arguments, name, None))]
    if getattr(arguments, "overwrite", False) and hasattr(arguments, "preset") and hasattr(arguments, "run_dir"):
        replaced.append(arguments.run_dir)
    for folder in (path for name in _ADDED_TO for path in _paths(getattr(arguments, name, None))):
        replaced += [folder / name for name in _WRITTEN if (folder / name).is_file()]
    for output in replaced:
        files.refuse_output_over_input(output, inputs)


def _paths(given: Any) -> list[pathlib.Path]:
    """Return what an option names as paths; a name of a built-in source is one of nothing."""
    every = given if isinstance(given, list | tuple) else [] if given is None else [given]
    return [pathlib.Path(each) for each in every if isinstance(each, str | pathlib.Path)]


def add_version(parser: argparse.ArgumentParser) -> None:
    """Add ``--version``, which looks the version up only when it is asked for."""

    class Version(argparse.Action):
        def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
            print(f"fieldnets {importlib.metadata.version('fieldnets')}")
            parser.exit()

    parser.add_argument("--version", action=Version, nargs=0, help="print the version and exit")


def add_run_dir(parser: argparse.ArgumentParser, name: str) -> None:
    """Add ``--run-dir``, whose default is the app's own."""
    default = pathlib.Path("runs") / name
    parser.add_argument("--run-dir", type=pathlib.Path, default=default, help=f"the run folder (default: {default})")


def _set_up_logging(arguments: argparse.Namespace) -> None:
    level = logging.DEBUG if arguments.verbose else logging.WARNING if arguments.quiet else logging.INFO
    log.setLevel(level)
    log.propagate = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.handlers[:] = [handler]


def at_least(minimum: int, maximum: int | None = None) -> Callable[[str], int]:
    """Return a parser of whole numbers within limits."""

    def parse(text: str) -> int:
        number = int(text) if text.lstrip("-").isdecimal() else None
        if number is None or number < minimum or (maximum is not None and number > maximum):
            limits = f"at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
            raise argparse.ArgumentTypeError(f"expected a whole number {limits}. Received: {text!r}")
        return number

    return parse


_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?")


def seconds(text: str) -> float:
    """Parse a time above 0.

    >>> seconds("90"), seconds("10m"), seconds("1h30m"), seconds("1.5h")
    (90.0, 600.0, 5400.0, 5400.0)
    """
    found = _DURATION.fullmatch(text.strip().lower())
    total = (
        sum(float(part) * unit for part, unit in zip(found.groups(), (3600, 60, 1), strict=True) if part)
        if found
        else 0
    )
    if not total > 0:
        raise argparse.ArgumentTypeError(f"expected a time such as 600s, 10m or 1h30m. Received: {text!r}")
    return float(total)


def column_names(text: str) -> tuple[str, ...]:
    """Return the names that an option lists, as a line of csv.

    Raises:
        argparse.ArgumentTypeError: A name is empty or occurs twice.

    >>> column_names("id, city"), column_names('"net, gross"'), column_names("all")
    (('id', 'city'), ('net, gross',), ('all',))
    """
    names = tuple(name.strip() for name in next(csv.reader([text], skipinitialspace=True), [""]))
    if not names or not all(names) or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f"expected names of columns, each once, or all. Received: {text!r}")
    return names


def shard(text: str) -> tuple[int, int]:
    """Return which of how many shards, from 1.

    >>> shard("2/8")
    (2, 8)

    Raises:
        argparse.ArgumentTypeError: The text is none.
    """
    number, slash, of = text.partition("/")
    if not slash or not number.isdecimal() or not of.isdecimal() or not 1 <= int(number) <= int(of):
        raise argparse.ArgumentTypeError(f"expected I/N, where I is from 1 to N, such as 2/8. Received: {text!r}")
    return int(number), int(of)


def not_negative(text: str) -> float:
    """Return a finite number of at least 0.

    Raises:
        argparse.ArgumentTypeError: The text is none.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number of at least 0. Received: {text!r}")
    return number


def byte_count(text: str) -> int:
    """Return a size such as ``2GiB`` or ``512MiB`` in bytes.

    Raises:
        argparse.ArgumentTypeError: The text is none.
    """
    number, unit = text[:-3], _UNITS.get(text[-3:].casefold())
    if unit is None or not number.isdecimal() or int(number) < 1:
        raise argparse.ArgumentTypeError(f"expected a size such as 2GiB or 512MiB. Received: {text!r}")
    return int(number) * unit


def some_of(choices: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """Return a parser of names separated by commas, each once."""

    def parse(text: str) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
        for name in names:
            if name not in choices:
                hint = errors.meant(name, choices)
                raise argparse.ArgumentTypeError(
                    f"invalid choice: {name!r} (expected some of {', '.join(choices)}){hint and f'.{hint}'}"
                )
        return names

    return parse
