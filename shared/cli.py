"""The command line that every app shares: the verbs, options and exit codes of DESIGN section 3.

Nothing heavy is imported here, so that ``--help`` answers at once; a command imports TensorFlow when it runs.
"""

import argparse
import contextlib
import dataclasses
import importlib.metadata
import json
import logging
import pathlib
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared import config, errors

Result = Mapping[str, Any]
Command = Callable[[argparse.Namespace], Result]
PRESETS = ("smoke", "quick", "default")
SPLITS = ("train", "validation", "test", "all")

log = logging.getLogger("fieldnets")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Commands:
    """What an app does for each verb: parsed arguments in, a JSON-able result out."""

    data: Command
    train: Command
    evaluate: Command
    explain: Command
    predict: Command
    export: Command
    serve: Command
    monitor: Command
    tune: Command


def app_parser(
    name: str,
    *,
    description: str,
    config_class: type[config.Config],
    data_fields: Sequence[str],
    commands: Commands,
) -> argparse.ArgumentParser:
    """Build an app's parser.

    Args:
        name: The console script, such as ``sentiment``.
        description: One line for ``--help``.
        config_class: The app's config; ``train`` and ``tune`` get one flag per field.
        data_fields: Those fields that say how to read a source; every verb that reads data gets them.
        commands: The app's functions.
    """
    parser = argparse.ArgumentParser(prog=name, description=description, allow_abbrev=False)
    _add_version(parser)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)

    def verb(verb_name: str, command: Command, help: str, *fields: str) -> argparse.ArgumentParser:
        return add_verb(verbs, verb_name, command, help=help, config_class=config_class, fields=fields)

    source = tuple(data_fields)
    everything = tuple(config.field_types(config_class))

    data = verb("data", commands.data, "check and describe a source; write its split and certificate", *source)
    data.add_argument("--output-dir", type=pathlib.Path, help="where split.json and split.csv go")
    data.add_argument("--write", type=pathlib.Path, metavar="DIR", help="also write the normalised data set")
    data.add_argument("--overwrite", action="store_true", help="replace what stands in those folders")

    train = verb("train", commands.train, "train on a source; write a run folder", *everything)
    _add_run_dir(train, name)
    _add_preset(train)
    train.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    train.add_argument("--overwrite", action="store_true", help="replace an existing run")

    evaluate = verb("evaluate", commands.evaluate, "measure a run; write metrics.json and report.html", *source)
    _add_run_dir(evaluate, name)
    evaluate.add_argument("--split", choices=SPLITS, help="part to measure (default: test; all for other data)")
    evaluate.add_argument("--output-dir", type=pathlib.Path, help="default: RUN_DIR/evaluation")

    explain = verb("explain", commands.explain, "show why the model answers as it does")
    _add_run_dir(explain, name)
    explain.add_argument("input", metavar="INPUT", help="a raw input: a text, or a path")
    explain.add_argument("--output", type=pathlib.Path, required=True, help="the picture or HTML file to write")

    predict = verb("predict", commands.predict, "score many raw inputs, streaming", *_without(source, "data"))
    _add_model_choice(predict)
    predict.add_argument("input", metavar="INPUT", nargs="+", type=pathlib.Path, help="files to score")
    predict.add_argument("--output", type=pathlib.Path, required=True, help=".csv, .jsonl or .parquet")
    predict.add_argument("--resume", action="store_true", help="go on where an interrupted run stopped")
    predict.add_argument("--overwrite", action="store_true", help="replace an existing output")
    predict.add_argument("--chunk-rows", type=int, default=4096, help="rows held in memory at a time")

    export = verb("export", commands.export, "write a serving bundle, checked against the run")
    _add_run_dir(export, name)
    export.add_argument("--output-dir", type=pathlib.Path, required=True, help="the model repository")
    export.add_argument("--format", choices=("saved-model",), default="saved-model", help="bundle format")

    serve = verb("serve", commands.serve, "serve a bundle over HTTP")
    serve.add_argument("--model-dir", type=pathlib.Path, required=True, help="a bundle, or the folder above it")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on")
    serve.add_argument("--port", type=int, default=8501, help="port to listen on; 0 takes a free one")

    monitor = verb("monitor", commands.monitor, "compare new inputs with the bundle's reference", *source)
    monitor.add_argument("--model-dir", type=pathlib.Path, required=True, help="a bundle, or the folder above it")
    monitor.add_argument("--output-dir", type=pathlib.Path, help="where drift.json and report.html go")

    tune = verb("tune", commands.tune, "search hyperparameters; write the best config file", *everything)
    tune.add_argument("--trials", type=int, default=10, help="configurations to try")
    tune.add_argument("--output-dir", type=pathlib.Path, default=pathlib.Path("runs") / f"{name}-tune")
    _add_preset(tune)
    return parser


def add_verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    command: Command,
    *,
    help: str,
    config_class: type[config.Config] | None = None,
    fields: Sequence[str] = (),
) -> argparse.ArgumentParser:
    """Add one verb with the options that every verb has."""
    parser = verbs.add_parser(name, help=help, description=help, allow_abbrev=False)
    parser.set_defaults(command=command)
    if config_class is not None and fields:
        config.add_flags(parser, config_class, fields)
    if "seed" not in fields:
        parser.add_argument("--seed", type=int, default=0, help="seed of every random choice")
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument("--verbose", action="store_true", help="say more on stderr")
    loudness.add_argument("--quiet", action="store_true", help="say only warnings and errors")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")
    return parser


def resolve_config(config_class: type[config.Config], arguments: argparse.Namespace) -> Any:
    """Return the preset, changed by ``--config FILE``, changed by the flags."""
    base = config_class.presets()[arguments.preset]()
    if arguments.config is not None:
        base = config.load(config_class, arguments.config, base=base)
    return config.from_flags(config_class, arguments, base=base)


def run(parser: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> int:
    """Parse, run the verb, print its result, and return the exit code: 0 done, 1 our fault, 2 input, 3 gate."""
    arguments = parser.parse_args(argv)
    _set_up_logging(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            result = arguments.command(arguments)
        _print_result(result, as_json=arguments.json)
    except errors.FieldnetsError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0
    except Exception:
        traceback.print_exc()
        print(f"{parser.prog}: this is a fault of the program, not of the input; please report it", file=sys.stderr)
        return 1
    return 0


def _without(fields: tuple[str, ...], *dropped: str) -> tuple[str, ...]:
    return tuple(field for field in fields if field not in dropped)


def _add_version(parser: argparse.ArgumentParser) -> None:
    class Version(argparse.Action):
        def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
            parser.exit(message=f"fieldnets {importlib.metadata.version('fieldnets')}\n")

    parser.add_argument("--version", action=Version, nargs=0, help="print the version and exit")


def _add_run_dir(parser: argparse.ArgumentParser, name: str) -> None:
    default = pathlib.Path("runs") / name
    parser.add_argument("--run-dir", type=pathlib.Path, default=default, help=f"the run folder (default: {default})")


def _add_preset(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--preset", choices=PRESETS, default="default", help="starting point (default: default)")
    parser.add_argument("--config", type=pathlib.Path, metavar="FILE", help="JSON settings on top of the preset")


def _add_model_choice(parser: argparse.ArgumentParser) -> None:
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--run-dir", type=pathlib.Path, help="a run folder")
    choice.add_argument("--model-dir", type=pathlib.Path, help="a bundle, or the folder above it")


def _set_up_logging(arguments: argparse.Namespace) -> None:
    level = logging.DEBUG if arguments.verbose else logging.WARNING if arguments.quiet else logging.INFO
    log.setLevel(level)
    log.propagate = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.handlers[:] = [handler]


def _print_result(result: Result, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False))
        return
    import rich.console
    import rich.table

    console = rich.console.Console()
    for key, value in result.items():
        if isinstance(value, Mapping) and value and all(_is_interval(entry) for entry in value.values()):
            table = rich.table.Table("metric", "value", "95 % interval", title=key, title_justify="left")
            for name, entry in value.items():
                table.add_row(name, f"{entry['value']:.4f}", f"{entry['low']:.4f} to {entry['high']:.4f}")
            console.print(table)
        else:
            console.print(f"{key}: {_readable(value)}", markup=False, highlight=False, soft_wrap=True)


def _is_interval(value: Any) -> bool:
    return isinstance(value, Mapping) and {"value", "low", "high"} <= set(value)


def _readable(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
