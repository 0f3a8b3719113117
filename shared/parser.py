"""The parser of an app's command line: the verbs and options of DESIGN section 3, the same in every app.

The classes are what a verb is asked for, once its arguments are parsed: named like the flags, and typed.
"""

import argparse
import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from shared import cli, config, errors, usage
from shared.report import requirements
from shared.serving import settings

Model = TypeVar("Model")
TRACKERS = ("mlflow",)
SPLITS = ("train", "validation", "test", "all")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataOptions:
    """What ``data`` is asked for: how to read a source, and which folders its results go to."""

    settings: Any
    output_dir: pathlib.Path | None
    write: pathlib.Path | None
    overwrite: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """What ``train`` is asked for."""

    settings: Any
    run_dir: pathlib.Path
    resume: bool
    overwrite: bool
    workers: int
    ray_address: str | None
    command_line: Sequence[str]
    dry_run: bool = False
    time_limit: float | None = None
    track: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """What ``evaluate`` is asked for; without ``data`` the run's own part is evaluated."""

    settings: Any
    run_dir: pathlib.Path
    data: Sequence[str] | None
    split: str | None
    output_dir: pathlib.Path | None
    seed: int
    require: Sequence[requirements.Requirement] = ()
    track: str | None = None
    predictions: Sequence[pathlib.Path] = ()
    write_rows: pathlib.Path | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExplainOptions:
    """What ``explain`` is asked for; an app with more flags adds fields."""

    run_dir: pathlib.Path
    input: str
    output: pathlib.Path
    seed: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """What ``predict`` is asked for: ``model_dir``, or else ``run_dir``; an app with more flags adds fields.

    Attributes:
        shard: ``(number from 1, of)``: score this share of the inputs only; None: all.
        merge: ``input`` are the outputs of all shards, and are joined; there is no model.
        ray_address: Of the Ray cluster that scores the shards, ``local`` for one of this machine; None: this process.
        shards: How many it scores; None: as many as it has processors.
        opened: Returns the loaded run, or the bundle with its engine, of a caller who keeps it; None: it is opened.
        keep_columns: Columns of input tables that stand in the output, too; see ``shared.sources.kept``.
    """

    settings: Any
    run_dir: pathlib.Path
    model_dir: pathlib.Path | None
    engine: str | None
    input: Sequence[pathlib.Path]
    output: pathlib.Path
    resume: bool
    overwrite: bool
    chunk_rows: int
    shard: tuple[int, int] | None = None
    merge: bool = False
    ray_address: str | None = None
    shards: int | None = None
    opened: Callable[[], Any] | None = None
    keep_columns: Sequence[str] = ()

    def model(self, open_model: Callable[[], Model]) -> Model:
        """Return the model that the caller keeps in memory, or else open it."""
        opened: Model = open_model() if self.opened is None else self.opened()
        return opened


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What ``export`` is asked for; ``data`` is where the run's own have moved to, None where they have not."""

    run_dir: pathlib.Path
    output_dir: pathlib.Path
    format: Sequence[str]
    int8: bool
    sign: pathlib.Path | None
    data: Sequence[str] | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class MonitorOptions:
    """What ``monitor`` is asked for."""

    settings: Any
    model_dir: pathlib.Path
    output_dir: pathlib.Path | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class TuneOptions:
    """What ``tune`` is asked for."""

    settings: Any
    trials: int
    output_dir: pathlib.Path
    workers: int
    ray_address: str | None
    prune: bool
    command_line: Sequence[str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Commands:
    """What an app does for each verb: parsed arguments in, a JSON-able result out."""

    data: cli.Command
    train: cli.Command
    evaluate: cli.Command
    explain: cli.Command
    predict: cli.Command
    export: cli.Command
    serve: cli.Command
    monitor: cli.Command
    tune: cli.Command


def app_parser(  # noqa: PLR0913
    name: str,
    *,
    description: str,
    config_class: type[config.Config],
    data_fields: Sequence[str],
    commands: Commands,
    formats: Sequence[str] = ("saved-model",),
    more: Callable[[cli.Verbs], None] = lambda _verbs: None,
    takes: str = "images",
) -> usage.Parser:
    """Build an app's parser.

    Args:
        name: The console script, such as ``sentiment``.
        description: One line for ``--help``.
        config_class: The app's config; ``train`` and ``tune`` get one flag per field.
        data_fields: Those fields that say how to read a source; every verb that reads data gets them.
        commands: The app's functions.
        formats: What ``export`` can write, the usual one first; where there are more, also in 8 bits.
        more: Adds the verbs and options that only this app has.
        takes: What an input of a model is, for the examples.
    """
    parser = usage.Parser(prog=name, description=description, allow_abbrev=False)
    cli.add_version(parser)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)

    def verb(verb_name: str, command: cli.Command, help: str, *fields: str) -> argparse.ArgumentParser:
        return cli.add_verb(
            verbs, verb_name, command, help=help, config_class=config_class, fields=fields, of_source=data_fields
        )

    source = tuple(data_fields)
    everything = tuple(config.field_types(config_class))

    data = verb("data", commands.data, "check and describe a source; write its split and certificate", *source)
    data.add_argument("--output-dir", type=pathlib.Path, help="where split.json and split.csv go")
    data.add_argument("--write", type=pathlib.Path, metavar="DIR", help="also write the normalised data set")
    data.add_argument("--overwrite", action="store_true", help="replace what stands in those folders")
    _add_preset(data)

    train = verb("train", commands.train, "train on a source; write a run folder", *everything)
    cli.add_run_dir(train, name)
    _add_preset(train)
    _add_resume_or_overwrite(train, "run")
    _add_track(train)
    train.add_argument(
        "--dry-run",
        action="store_true",
        help="say what it would take (shapes, parameters, FLOP, time, memory, disk) and write nothing",
    )
    train.add_argument(
        "--time-limit",
        type=cli.seconds,
        metavar="TIME",
        help="end in this time, such as 10m or 1h30m: networks get fewer epochs where they must",
    )
    train.add_argument(
        "--workers",
        type=cli.at_least(1),
        default=1,
        help="processes that train together (default: 1)",
    )
    train.add_argument(
        "--ray-address",
        metavar="ADDRESS",
        help="start them on this Ray cluster, or local; RUN_DIR and data lie on a path that its machines share",
    )

    evaluate = verb("evaluate", commands.evaluate, "measure a run; write metrics.json and report.html", *source)
    cli.add_run_dir(evaluate, name)
    evaluate.add_argument("--split", choices=SPLITS, help="part to measure (default: test; all for other data)")
    evaluate.add_argument("--output-dir", type=pathlib.Path, help="default: RUN_DIR/evaluation")
    _add_track(evaluate)
    evaluate.add_argument(
        "--require",
        type=requirements.parse,
        action="append",
        default=[],
        metavar="CONDITION",
        help="such as accuracy>=0.9 or auroc.low>0.8, of metrics.json; repeatable; exit code 3 where one is not met",
    )

    evaluate.add_argument(
        "--predictions",
        type=pathlib.Path,
        action="append",
        default=[],
        metavar="FILE",
        help="judge another model by its scores (csv, parquet, jsonl) of validation and the part; repeatable",
    )
    evaluate.add_argument(
        "--write-rows", type=pathlib.Path, metavar="FILE", help="write the rows that it must score, and end"
    )

    explain = verb("explain", commands.explain, "show why the model answers as it does")
    cli.add_run_dir(explain, name)
    explain.add_argument("input", metavar="INPUT", help="a raw input: a text, or a path")
    explain.add_argument("--output", type=pathlib.Path, required=True, help="the picture or HTML file to write")

    asked = _of_model(commands.predict)
    predict = verb("predict", asked, "score many raw inputs, streaming", *_without(source, "data"))
    _add_model_choice(predict)
    predict.add_argument("input", metavar="INPUT", nargs="+", type=pathlib.Path, help="files to score, or to merge")
    predict.add_argument("--output", type=pathlib.Path, required=True, help=".csv, .jsonl or .parquet")
    _add_resume_or_overwrite(predict, "output")
    predict.add_argument("--chunk-rows", type=cli.at_least(1), default=4096, help="rows held in memory at a time")
    predict.add_argument(
        "--keep-columns",
        type=cli.column_names,
        default=(),
        metavar="NAMES",
        help="columns of the input tables that the output has, too: a,b or all",
    )
    _add_shards(predict)

    export = verb("export", commands.export, "write a serving bundle, checked against the run")
    cli.add_run_dir(export, name)
    export.add_argument("--output-dir", type=pathlib.Path, required=True, help="the model repository")
    _add_formats(export, formats)
    export.add_argument("--data", nargs="+", action="extend", help="the run's own data, where they have moved")
    export.add_argument("--sign", type=pathlib.Path, metavar="KEY", help="PEM file of the private key to sign with")

    serve = verb("serve", commands.serve, "serve a bundle over HTTP")
    settings.add_options(serve)

    monitor = verb("monitor", commands.monitor, "compare new inputs with the bundle's reference", *source)
    monitor.add_argument("--model-dir", type=pathlib.Path, required=True, help="a bundle, or the folder above it")
    monitor.add_argument("--output-dir", type=pathlib.Path, help="where drift.json and report.html go")

    tune = verb("tune", commands.tune, "search hyperparameters; write the best config file", *everything)
    tune.add_argument("--trials", type=cli.at_least(1), default=10, help="configurations to try")
    tune.add_argument("--output-dir", type=pathlib.Path, default=pathlib.Path("runs") / f"{name}-tune")
    tune.add_argument("--workers", type=cli.at_least(1), default=1, help="processes that try at once (default: 1)")
    tune.add_argument(
        "--ray-address", metavar="ADDRESS", help="of a Ray cluster that tries, or local; OUTPUT_DIR is shared"
    )
    tune.add_argument("--prune", action="store_true", help="end trials that fall behind the median of the others")
    _add_preset(tune)
    for verb_name, each in parser.verbs().items():
        each.examples = usage.examples(verb_name, name, takes)
    more(verbs)
    return parser


def _add_resume_or_overwrite(parser: argparse.ArgumentParser, what: str) -> None:
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--resume", action="store_true", help=f"go on with an interrupted {what}")
    choice.add_argument("--overwrite", action="store_true", help=f"replace an existing {what}")


def _add_track(parser: argparse.ArgumentParser) -> None:
    help = "also log to MLflow (MLFLOW_TRACKING_URI, or mlflow.db beside the run folder)"
    parser.add_argument("--track", choices=TRACKERS, help=help)


def _add_preset(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--preset", choices=cli.PRESETS, help=f"starting point (default: {cli.DEFAULT_PRESET})")
    parser.add_argument(
        "--config", type=pathlib.Path, metavar="FILE", help="settings on top of the preset, in YAML or JSON"
    )


def _add_formats(parser: argparse.ArgumentParser, formats: Sequence[str]) -> None:
    help = f"what to write, separated by commas: {', '.join(formats)} (default: {formats[0]})"
    parser.add_argument("--format", type=cli.some_of(formats), default=(formats[0],), metavar="FORMAT", help=help)
    if len(formats) > 1:
        parser.add_argument("--int8", action="store_true", help="with another format: 8-bit weights and activations")


def _add_model_choice(parser: argparse.ArgumentParser) -> None:
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--run-dir", type=pathlib.Path, help="a run folder")
    choice.add_argument("--model-dir", type=pathlib.Path, help="a bundle, or the folder above it")
    help = (
        "with --model-dir: what runs the network (default: the app's own fast way where a bundle has one, tensorflow)"
    )
    parser.add_argument("--engine", choices=settings.NETWORKS, help=help)


def _add_shards(parser: argparse.ArgumentParser) -> None:
    choice = parser.add_mutually_exclusive_group()
    help = "score share I (from 1) of N only, and write a manifest beside the output"
    choice.add_argument("--shard", type=cli.shard, metavar="I/N", help=help)
    choice.add_argument("--merge", action="store_true", help="check and join the outputs of all shards; no model")
    choice.add_argument("--ray-address", metavar="ADDRESS", help="score on a Ray cluster; local: on this machine's")
    parser.add_argument("--shards", type=cli.at_least(1), help="with --ray-address: in so many (default: processors)")


def _of_model(command: cli.Command) -> cli.Command:
    """Return a command that refuses what only argparse's own groups could: a model is needed, but for ``--merge``.

    A run's network is not run with an engine: only bundles hold them.
    """

    def checked(arguments: argparse.Namespace) -> cli.Result:
        given = [f"--{name}" for name in ("run-dir", "model-dir") if getattr(arguments, name.replace("-", "_"))]
        if arguments.merge and given:
            raise errors.InputError(f"--merge: expected no model, the shards name theirs. Received: {given[0]}")
        if not arguments.merge and not given:
            raise errors.InputError("one of the arguments --run-dir --model-dir is required, but with --merge")
        if arguments.shards and not arguments.ray_address:
            raise errors.InputError("--shards: expected --ray-address. Received: none")
        if arguments.model_dir is None and arguments.engine:
            raise errors.InputError(f"--engine {arguments.engine}: expected --model-dir. Received: --run-dir")
        return command(arguments)

    return checked


def _without(fields: tuple[str, ...], *dropped: str) -> tuple[str, ...]:
    return tuple(field for field in fields if field not in dropped)
