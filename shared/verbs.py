"""What every verb does, the same in all apps; an app supplies the steps that depend on its domain.

Nothing heavy is imported here, so that ``--help`` answers at once: a step of an `App` is a function without arguments
that imports what the verb needs, and returns it.
"""

import argparse
import dataclasses
import logging
import pathlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from shared import cli, config, errors, files, parser
from shared.bundle import formats
from shared.serving import verb as serving

log = logging.getLogger("fieldnets")
# Of datasets, splits and loaded runs only the app knows what they are.
Step = Callable[..., Any]
Options = TypeVar("Options")


@dataclasses.dataclass(frozen=True, kw_only=True)
class App:
    """An app's name, its config, and for each verb a function that imports and returns the app's steps.

    Attributes:
        name: The console script, such as ``sentiment``.
        description: One line for ``--help``.
        config: The config class.
        data_fields: Its fields that say how to read a source.
        data: Steps of ``data``; ``train`` finds its sources with them.
        train: Returns ``train(settings, folder) -> result``.
        evaluate: Steps of ``evaluate``.
        explain: Steps of ``explain``.
        predict: Steps of ``predict``.
        export: Steps of ``export``.
        monitor: Steps of ``monitor``.
        tune: Steps of ``tune``.
        more: Adds verbs and options that only this app has.
        page_suffixes: How the name of what ``explain`` writes may end; empty for any.
        refuse: Raises where flags say what a finished run has decided.
    """

    name: str
    description: str
    config: type[config.Config]
    data_fields: Sequence[str]
    data: Callable[[], "Data"]
    train: Callable[[], Callable[[Any, files.RunFolder], cli.Result]]
    evaluate: Callable[[], "Evaluate"]
    explain: Callable[[], "Explain"]
    predict: Callable[[], "Predict"]
    export: Callable[[], "Export"]
    monitor: Callable[[], "Monitor"]
    tune: Callable[[], "Tune"]
    more: Callable[[cli.Verbs], None] = lambda _verbs: None
    page_suffixes: Collection[str] = ()
    refuse: Callable[[Any], None] = lambda _settings: None

    def source_settings(self, arguments: argparse.Namespace) -> Any:
        """Return the default config changed by the flags that say how to read a source, and by the seed."""
        return cli.source_settings(self.config, self.data_fields, arguments)


def main(app: App, argv: Sequence[str] | None = None) -> int:
    """Run an app's command line and return its exit code."""
    commands = parser.Commands(
        data=lambda given: describe_data(app, _typed(DataOptions, given, app.source_settings(given))),
        train=lambda given: train(app, _typed(TrainOptions, given, cli.resolve_config(app.config, given))),
        evaluate=lambda given: evaluate(app, _typed(EvaluateOptions, given, app.source_settings(given))),
        explain=lambda given: explain(app, given),
        predict=lambda given: predict(app, given),
        export=lambda given: export(app, _typed(ExportOptions, given)),
        serve=serving.serve,
        monitor=lambda given: monitor(app, _typed(MonitorOptions, given, app.source_settings(given))),
        tune=lambda given: tune(app, _typed(TuneOptions, given, cli.resolve_config(app.config, given))),
    )
    built = parser.app_parser(
        app.name,
        description=app.description,
        config_class=app.config,
        data_fields=app.data_fields,
        commands=commands,
        formats=("saved-model", *formats.FILES),
        more=app.more,
    )
    return cli.run(built, argv)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Data:
    """Steps of ``data``. A dataset has ``columns``, ``notes`` and ``quarantined``.

    Attributes:
        locate: ``(settings)``: raises where a source is not there.
        load: ``(settings, quarantine=path) -> dataset``.
        split: ``(dataset, settings) -> (split, certificate)``.
        describe: ``(dataset) -> str``: what was read, in a line.
        table: ``(dataset, split) -> DataFrame`` of the rows and their parts.
        write: ``(dataset, table, options)``: writes the normalised data set to ``options.write``; may return notes.
        not_in_csv: Columns of the table that ``split.csv`` leaves out: the data themselves.
        more: ``(dataset, folder, options) -> result``: what else the app checks, writes into the folder and says,
            before anything else is written.
    """

    locate: Step
    load: Step
    split: Step
    describe: Step
    table: Step
    write: Step
    not_in_csv: Sequence[str] = ()
    more: Step = lambda _dataset, _folder, _options: {}


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataOptions:
    """What ``data`` is asked for: how to read a source, and which folders its results go to."""

    settings: Any
    output_dir: pathlib.Path | None
    write: pathlib.Path | None
    overwrite: bool


def describe_data(app: App, options: DataOptions) -> cli.Result:
    """Check a source, split it, and write certificate, parts and, if asked, the normalised data set."""
    named = options.output_dir or options.write
    folder = named or pathlib.Path("runs") / f"{app.name}-data"
    # Without a name it is a look at the data, not a result to keep: the next look replaces it.
    cli.refuse_existing(folder / "split.json", overwrite=options.overwrite or not named)
    steps = app.data()
    aside = folder / "quarantine.csv"
    dataset = steps.load(options.settings, quarantine=aside)
    split, certificate = steps.split(dataset, options.settings)
    more = steps.more(dataset, folder, options)
    files.write_json(folder / "split.json", certificate)
    table = steps.table(dataset, split)
    with files.atomic(folder / "split.csv") as temporary:
        table.drop(columns=list(steps.not_in_csv)).to_csv(temporary, index=False)
    lost = options.write and steps.write(dataset, table, options)
    return {
        "source": steps.describe(dataset),
        "columns": dict(dataset.columns),
        "notes": list(dict.fromkeys([*dataset.notes, *certificate["checks"].get("notes", ()), *(lost or ())])),
        **more,
        "certificate": str(folder / "split.json"),
        "split": certificate,
        **set_aside(dataset.quarantined, aside),
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """What ``train`` is asked for."""

    settings: Any
    run_dir: pathlib.Path
    resume: bool
    overwrite: bool


def train(app: App, options: TrainOptions) -> cli.Result:
    """Train into a run folder, or go on with an interrupted run."""
    app.data().locate(options.settings)  # before --overwrite deletes anything
    folder = files.RunFolder.create(options.run_dir, resume=options.resume, overwrite=options.overwrite)
    quiet_tensorflow()
    training = app.train()
    with folder.taken_back_unless_begun():
        return training(options.settings, folder)


def own_part(run: Any, dataset: Any, split: Any, name: str) -> Any:
    """Return a part of a run's own data."""
    from shared.evaluation import part

    return part.of_run(dataset, split, name, run.folder)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Steps of ``evaluate``; ``own`` is the tuple that ``own_data`` returns.

    Attributes:
        open_run: ``(path) -> run``.
        own_data: ``(run, quarantine=path) -> own``: the run's data and their split, made again.
        other_part: ``(run, *own, settings, name, quarantine=path) -> part`` of other data, with its ``dataset``.
        evaluate: ``(run, *own, part, seed=, output=)``: writes the evaluation and returns it.
        own_part: ``(run, *own, name) -> part`` of the run's own data.
    """

    open_run: Step
    own_data: Step
    other_part: Step
    evaluate: Step
    own_part: Step = own_part


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """What ``evaluate`` is asked for; without ``data`` the run's own part is evaluated."""

    settings: Any
    run_dir: pathlib.Path
    data: Sequence[str] | None
    split: str | None
    output_dir: pathlib.Path | None
    seed: int


def evaluate(app: App, options: EvaluateOptions) -> cli.Result:
    """Evaluate a run on its own held-out part, or on other data."""
    app.refuse(options.settings)
    files.RunFolder.open(options.run_dir)
    quiet_tensorflow()
    steps = app.evaluate()
    run = steps.open_run(options.run_dir)
    output = options.output_dir or run.folder.evaluation
    aside = output / "quarantine.csv"
    own = steps.own_data(run, quarantine=aside if options.data is None else None)
    if options.data is None:
        part = steps.own_part(run, *own, options.split or "test")
    else:
        part = steps.other_part(run, *own, options.settings, options.split or "all", quarantine=aside)
    evaluation = steps.evaluate(run, *own, part, seed=options.seed, output=output)
    return {
        "metrics": evaluation.metrics["metrics"],
        **{f"baseline {name}": values for name, values in evaluation.metrics["baselines"].items()},
        "report": str(output / "report.html"),
        **set_aside(part.dataset.quarantined, aside),
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExplainOptions:
    """What ``explain`` is asked for; an app with more flags adds fields."""

    run_dir: pathlib.Path
    input: str
    output: pathlib.Path
    seed: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Explain:
    """Steps of ``explain``.

    Attributes:
        open_run: ``(path) -> run``.
        explain: ``(run, options) -> result``: writes the explanation of one input.
        options: Class of the options.
    """

    open_run: Step
    explain: Step
    options: type[ExplainOptions] = ExplainOptions


def explain(app: App, arguments: argparse.Namespace) -> cli.Result:
    """Write the page or picture that shows why the model answers one input as it does."""
    if app.page_suffixes and arguments.output.suffix not in app.page_suffixes:
        raise errors.InputError(f"--output: expected a name that ends in .html. Received: {arguments.output}")
    files.RunFolder.open(arguments.run_dir)
    quiet_tensorflow()
    steps = app.explain()
    options = _typed(steps.options, arguments)
    told = steps.explain(steps.open_run(options.run_dir), options)
    return {**told, "output": str(options.output)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """What ``predict`` is asked for: ``model_dir``, or else ``run_dir``; an app with more flags adds fields."""

    settings: Any
    run_dir: pathlib.Path
    model_dir: pathlib.Path | None
    engine: str
    input: Sequence[pathlib.Path]
    output: pathlib.Path
    resume: bool
    overwrite: bool
    chunk_rows: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predict:
    """Steps of ``predict``.

    Attributes:
        predict: ``(options) -> result``: scores all inputs in bounded memory.
        options: Class of the options.
    """

    predict: Step
    options: type[PredictOptions] = PredictOptions


def predict(app: App, arguments: argparse.Namespace) -> cli.Result:
    """Score files of any length in bounded memory, with a run or with a bundle."""
    from shared import batch

    settings = app.source_settings(arguments)
    app.refuse(settings)
    batch.check_output(arguments.output, overwrite=arguments.overwrite)
    quiet_tensorflow()
    steps = app.predict()
    result: cli.Result = steps.predict(_typed(steps.options, arguments, settings))
    return result


def score_in_chunks(
    options: PredictOptions,
    chunks: Iterable[Any],
    score: Step,
    *,
    what: str,
    plan: Mapping[str, Any],
    finish: Step | None = None,
) -> dict[str, Any]:
    """Score the inputs and write the output; see ``shared.batch.predict``.

    Args:
        options: Where to write, and whether to go on with an interrupted call.
        chunks: Tables of inputs.
        score: Table of inputs -> table of outputs.
        what: What is counted, such as "texts scored".
        plan: What decides the output; a resumed call must have the same.
        finish: Table of outputs -> the final one, chunk after chunk, when all are scored.
    """
    from shared import batch, progress

    with progress.rows(what, options.input) as advance:
        result = batch.predict(
            chunks,
            score,
            output=options.output,
            plan=plan,
            resume=options.resume,
            overwrite=options.overwrite,
            on_rows=advance,
            finish=finish,
        )
    return {"output": str(options.output), "rows": result.rows, "resumed_rows": result.resumed_rows}


def input_sizes(paths: Iterable[pathlib.Path]) -> dict[str, int | None]:
    """Return the size of each input file, and None for a folder: what a resumed ``predict`` must find again."""
    return {str(path): path.stat().st_size if path.is_file() else None for path in paths}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Export:
    """Steps of ``export``.

    Attributes:
        open_run: ``(path) -> run``.
        own_data: As of `Evaluate`.
        export: ``(run, *own, repository, engines=names)``: writes a checked bundle and returns what it is.
    """

    open_run: Step
    own_data: Step
    export: Step


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What ``export`` is asked for."""

    run_dir: pathlib.Path
    output_dir: pathlib.Path
    format: Sequence[str]
    int8: bool


def export(app: App, options: ExportOptions) -> cli.Result:
    """Write a checked serving bundle."""
    files.RunFolder.open(options.run_dir)
    engines = formats.chosen(options.format, int8=options.int8)
    quiet_tensorflow()
    steps = app.export()
    run = steps.open_run(options.run_dir)
    exported = steps.export(run, *steps.own_data(run), options.output_dir, engines=engines)
    return {"bundle": str(exported.path), "version": exported.version, "parity": dict(exported.parity)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Monitor:
    """Steps of ``monitor``.

    Attributes:
        load: ``(settings, bundle, quarantine=path) -> dataset`` without labels, as the bundle's model reads it.
        describe: ``(dataset) -> str``: what was read, in a line.
        monitor: ``(bundle, dataset, output=folder) -> result``; see ``shared.monitoring``.
    """

    load: Step
    describe: Step
    monitor: Step


@dataclasses.dataclass(frozen=True, kw_only=True)
class MonitorOptions:
    """What ``monitor`` is asked for."""

    settings: Any
    model_dir: pathlib.Path
    output_dir: pathlib.Path | None


def monitor(app: App, options: MonitorOptions) -> cli.Result:
    """Compare new inputs with the bundle's reference; exit code 3 on drift."""
    from shared.bundle import reading

    app.refuse(options.settings)
    reading.find(options.model_dir)
    quiet_tensorflow()
    steps = app.monitor()
    bundle = reading.load(options.model_dir)
    # Without a folder for the report bad rows still have one: they were promised a file.
    aside = (options.output_dir or pathlib.Path("runs") / f"{app.name}-monitor") / "quarantine.csv"
    dataset = steps.load(options.settings, bundle, quarantine=aside)
    for line in (steps.describe(dataset), *dataset.notes):
        log.info("%s", line)
    result = steps.monitor(bundle, dataset, output=options.output_dir)
    return {**result, "notes": list(dataset.notes), **set_aside(dataset.quarantined, aside)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tune:
    """Steps of ``tune``.

    Attributes:
        train: ``(settings, folder) -> result`` with the metrics of the validation part.
        metric: Which of them is best at its highest.
        suggest: ``(trial, settings) -> changes``: the settings that a trial tries.
    """

    train: Callable[[Any, files.RunFolder], Mapping[str, Any]]
    metric: str
    suggest: Callable[[Any, Any], Mapping[str, Any]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TuneOptions:
    """What ``tune`` is asked for."""

    settings: Any
    trials: int
    output_dir: pathlib.Path


def tune(app: App, options: TuneOptions) -> cli.Result:
    """Search hyperparameters on validation data and write the best config file."""
    quiet_tensorflow()
    from shared.training import tuning

    steps = app.tune()
    return tuning.search(
        options.settings,
        train=steps.train,
        metric=steps.metric,
        suggest=steps.suggest,
        trials=options.trials,
        output=options.output_dir,
    )


def set_aside(rows: int, path: pathlib.Path) -> dict[str, Any]:
    """Return what a verb says of the rows that it set aside."""
    return {"quarantined_rows": rows, "quarantine": str(path)} if rows else {}


def _typed(options: type[Options], arguments: argparse.Namespace, settings: Any = None) -> Options:
    """Return the parsed arguments as a verb's options; a flag that was not given and has no default is None."""
    names = [field.name for field in dataclasses.fields(options) if field.name != "settings"]  # type: ignore[arg-type]
    resolved = {} if settings is None else {"settings": settings}
    return options(**{name: getattr(arguments, name, None) for name in names}, **resolved)


def quiet_tensorflow() -> None:
    """Let TensorFlow log errors only; it must be told so before it is imported."""
    from shared.training import runtime

    runtime.quiet_logs()
