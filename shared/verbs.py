"""What every verb does, the same in all apps; an app supplies the steps that depend on its domain, see ``steps``.

Nothing heavy is imported here, so that ``--help`` answers at once.
"""

import argparse
import contextlib
import dataclasses
import datetime
import logging
import pathlib
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from shared import cli, errors, files, machine, parser, predicting, printing, published, resources, steps, usage
from shared.bundle import formats
from shared.report import requirements
from shared.serving import settings

log = logging.getLogger("fieldnets")
Options = TypeVar("Options")


def main(app: steps.App, argv: Sequence[str] | None = None) -> int:
    """Run an app's command line and return its exit code."""
    built = build_parser(app)
    built.set_defaults(command_line=sys.argv[1:] if argv is None else list(argv))
    return cli.run(built, argv)


def build_parser(app: steps.App) -> usage.Parser:
    """Return the parser of an app's command line."""
    commands = parser.Commands(
        data=lambda given: describe_data(app, _typed(parser.DataOptions, given, app.source_settings(given))),
        train=lambda given: train(app, _typed(parser.TrainOptions, given, cli.resolve_config(app.config, given))),
        evaluate=lambda given: evaluate(app, _typed(parser.EvaluateOptions, given, app.source_settings(given))),
        explain=lambda given: explain(app, given),
        predict=lambda given: predict(app, given),
        export=lambda given: export(app, _typed(parser.ExportOptions, given)),
        serve=lambda given: serve(app, settings.from_arguments(given), quiet=given.quiet),
        monitor=lambda given: monitor(app, _typed(parser.MonitorOptions, given, app.source_settings(given))),
        tune=lambda given: tune(app, _typed(parser.TuneOptions, given, cli.resolve_config(app.config, given))),
    )
    return parser.app_parser(
        app.name,
        description=app.description,
        config_class=app.config,
        data_fields=app.data_fields,
        commands=commands,
        formats=("saved-model", *formats.FILES),
        more=app.more,
        takes=app.takes,
    )


def describe_data(app: steps.App, options: parser.DataOptions) -> cli.Result:
    """Check a source, split it, and write certificate, parts and, if asked, the normalised data set."""
    from shared.report import data_page

    named = options.output_dir or options.write
    folder = named or pathlib.Path("runs") / f"{app.name}-data"
    # Without a name it is a look at the data, not a result to keep: the next look replaces it.
    cli.refuse_existing(folder / "split.json", overwrite=options.overwrite or not named)
    step = app.data()
    aside = folder / "quarantine.csv"
    dataset = step.load(options.settings, quarantine=aside)
    split, certificate = step.split(dataset, options.settings)
    with contextlib.ExitStack() as stack:
        into = stack.enter_context(published.folder(folder))
        more = step.more(dataset, folder, options, into)
        files.write_json(into / "split.json", certificate)
        table = step.table(dataset, split)
        shown = printing.inert_table(table.drop(columns=list(step.not_in_csv)))
        files.write_text(into / "split.csv", shown.to_csv(index=False))
        page = _understood(app.name, step, dataset, split, certificate, seed=options.settings.seed)
        files.write_text(into / data_page.FILE, data_page.render(page))
        files.write_json(into / data_page.ERRORS_FILE, data_page.errors_json(page.errors))
        lost: Iterable[str] = ()
        if options.write:
            apart = options.write != folder
            target = stack.enter_context(published.folder(options.write)) if apart else into
            lost = step.write(dataset, table, dataclasses.replace(options, write=target)) or ()
    return {
        "source": page.source,
        "columns": page.roles,
        "notes": list(dict.fromkeys([*page.notes, *lost])),
        "look at": data_page.findings(page.columns, page.errors),
        **more,
        "page": str(folder / data_page.FILE),
        "certificate": str(folder / "split.json"),
        "split": certificate,
        **set_aside(dataset.quarantined, aside),
    }


def _understood(
    name: str, step: steps.Data, dataset: Any, split: Any, certificate: dict[str, Any], *, seed: int
) -> Any:
    """Look at the data with plain models, for `data.html`."""
    from shared.evaluation import inspection
    from shared.report import data_page

    inspected = step.inspect(dataset, split, seed=seed)
    return data_page.Understood(
        title=f"{name}: the data",
        source=step.describe(dataset),
        roles=dict(dataset.columns),
        notes=list(dict.fromkeys([*dataset.notes, *certificate["checks"].get("notes", ())])),
        certificate=certificate,
        inspected=inspected,
        columns=inspection.columns(inspected, seed=seed) if inspected else (),
        errors=inspection.label_errors(inspected, seed=seed) if inspected else (),
    )


def train(app: steps.App, options: parser.TrainOptions) -> cli.Result:
    """Train into a run folder, or go on with an interrupted run."""
    start = resources.Start()
    from shared import launch, resuming
    from shared.training import cluster

    if launch.is_helper():
        launch.end_with_parent()
    app.data().locate(options.settings)  # before --overwrite deletes anything
    if options.dry_run:
        return dry_run(app, options)
    if options.time_limit is not None:
        _require_one_process(options, "--time-limit")
    _check_track(options.track)
    here = cluster.from_environment()
    if here is None and (options.workers > 1 or options.ray_address):
        return _launch(app, options)
    quiet_tensorflow()
    from shared.training import budgets

    step = app.train()
    if here is not None and not here.is_first:
        with tempfile.TemporaryDirectory(prefix=f"fieldnets-worker-{here.rank}-") as path:
            return train_into(files.RunFolder(pathlib.Path(path)), step, options.settings)
    files.RunFolder.refuse_occupied(options.run_dir, resume=options.resume, overwrite=options.overwrite)
    with resuming.locked(options.run_dir, what="`train` into one run folder"):
        folder = files.RunFolder.create(options.run_dir, resume=options.resume, overwrite=options.overwrite)
        with folder.taken_back_unless_begun():
            plan = _plan(app, options, folder, start)
            with budgets.kept_to(plan):
                result = train_into(folder, step, options.settings)
            if plan is not None:
                result = {**result, "time limit": plan.cut or "all epochs fit"}
            if options.track:
                result = {**result, **_tracking().training(folder, app=app.name, package=_package(app))}
        # A finished run holds no hidden file; nobody waits for this lock: who comes while it is held is refused.
        (folder.path / resuming.LOCK).unlink(missing_ok=True)
    return result


def train_into(folder: files.RunFolder, step: steps.Train, settings: Any) -> cli.Result:
    """Read, split and train into ``folder``; called again on an interrupted run, go on and end with the same weights.

    Returns:
        What the training returns: run folder and validation metrics.
    """
    from shared.training import runtime

    began, start = datetime.datetime.now(datetime.UTC), resources.Start()
    smoke = settings.is_smoke()
    said = {"smoke": True} if smoke else {}
    # Until the training is over again, the files are in no manifest.
    folder.manifest.unlink(missing_ok=True)
    files.write_json(folder.config, settings.to_json())
    runtime.configure(seed=settings.seed, deterministic=settings.deterministic, precision=settings.precision)
    dataset = step.load(settings, quarantine=folder.path / "quarantine.csv")
    log.info("%s", step.describe(dataset))
    split, certificate = step.split(dataset, settings)
    files.write_json(folder.split, certificate)
    for note in dict.fromkeys([*dataset.notes, *certificate["checks"].get("notes", ())]):
        log.info("note: %s", note)
    log.info("split: %s", said_of_split(certificate["counts"]))
    with runtime.strategy(settings.strategy).scope():
        files.write_json(folder.environment, runtime.describe(seed=settings.seed) | said)
        result: cli.Result = step.train(dataset, split, settings, folder)
    files.write_json(folder.usage, {"began": began.isoformat(timespec="seconds"), **start.used()})
    folder.write_manifest()
    if smoke:
        log.warning("%s. %s", resources.SMOKE, resources.SMOKE_SENTENCE)
    return {**result, "use": resources.SMOKE} if smoke else result


def said_of_split(counts: Mapping[str, Any]) -> str:
    """Return the counts of a certificate in a line.

    >>> said_of_split({"train": {"rows": 1200, "units": 300, "classes": {"normal": 700, "opacity": 500}}})
    'train 1,200 of 300 units (normal 700, opacity 500)'
    """
    return "; ".join(f"{part} {_said_of_part(held)}" for part, held in counts.items())


def _said_of_part(held: Any) -> str:
    if not isinstance(held, Mapping):
        return f"{held:,}"
    classes = ", ".join(f"{name} {count:,}" for name, count in held.get("classes", {}).items())
    units = f" of {held['units']:,} units" if "units" in held else ""
    return f"{held.get('rows', 0):,}{units}{f' ({classes})' if classes else ''}"


def dry_run(app: steps.App, options: parser.TrainOptions) -> cli.Result:
    """Say what a training would take, from a few steps of it in a folder that goes again; nothing else is written.

    Raises:
        errors.InputError: It is asked for in several processes.
    """
    _require_one_process(options, "--dry-run")
    quiet_tensorflow()
    with _tried(app, options.settings) as (folder, planned, others):
        parts = files.read_json(folder.split)["counts"]
        disk = sum(each.stat().st_size for each in folder.path.rglob("*") if each.is_file())
        # From the second epoch on the checkpoint of the one before is kept, too.
        disk += sum(each.stat().st_size for each in folder.path.rglob("checkpoint.npz"))
    return {
        "parts": parts,
        "networks": [each.to_json() for each in planned],
        "training seconds, at most": round(sum(each.seconds for each in planned), 1),
        "seconds of all else": round(others, 1),
        "peak memory, MiB": round(resources.peak_memory_bytes() / (1 << 20)),
        "disk, MiB": round(disk / (1 << 20), 1),
        "notes": list(_OF_DRY_RUNS),
    }


@contextlib.contextmanager
def _tried(app: steps.App, settings: Any) -> Iterator[tuple[files.RunFolder, list[Any], float]]:
    """Train for a few steps into a folder that goes again; yield it, the trainings, and the seconds of all else."""
    from shared.training import estimates

    start = resources.Start()
    with tempfile.TemporaryDirectory(prefix="fieldnets-dry-run-") as path:
        folder = files.RunFolder(pathlib.Path(path))
        log.info("measuring a few steps of each network")
        with estimates.measuring() as planned, _silent():
            train_into(folder, app.train(), settings)
        yield folder, planned, start.used()["seconds"] - sum(each.measured_seconds for each in planned)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Let a training that is only tried say nothing of its results."""
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def _require_one_process(options: parser.TrainOptions, flag: str) -> None:
    if options.workers > 1 or options.ray_address:
        raise errors.InputError(f"{flag}: expected one process. Received: --workers or --ray-address")


def _plan(app: steps.App, options: parser.TrainOptions, folder: files.RunFolder, start: resources.Start) -> Any:
    """Return the plan of a time limit: that of the run where there is one, else a new one, which is kept; or None."""
    from shared.training import budgets

    if folder.time_limit.exists():
        kept = budgets.Plan.from_json(files.read_json(folder.time_limit), where=str(folder.time_limit))
        if options.time_limit not in (None, kept.limit_seconds):
            log.info("note: the run keeps its time limit of %.0f s: its weights hang on it", kept.limit_seconds)
        return kept
    if options.time_limit is None or folder.split.exists():
        return None
    with _tried(app, options.settings) as (_, planned, others):
        pass
    found = budgets.plan(
        planned,
        limit_seconds=options.time_limit,
        other_seconds=others,
        passed_seconds=start.used()["seconds"],
    )
    files.write_json(folder.time_limit, found.to_json())
    return found


_OF_DRY_RUNS = (
    "Time: from a few steps of each network on this machine, times all epochs; a training that stops early takes less.",
    "All else: reading, splitting, decoding, building and calibrating, measured as a whole.",
    "FLOP: two for each weight of a kernel and place where it is applied; a training step is three forward passes.",
    "Memory: the most that this process held. Disk: the run folder, checkpoints included.",
)


def _launch(app: steps.App, options: parser.TrainOptions) -> cli.Result:
    """Train in several processes of this machine or of a Ray cluster, each started with this command line."""
    from shared import launch

    if options.workers == 1:
        raise errors.InputError("--ray-address: expected --workers of at least 2. Received: 1")
    command = _command(app, options.command_line)
    return launch.train(command, workers=options.workers, ray_address=options.ray_address)


def _command(app: steps.App, command_line: Sequence[str]) -> list[str]:
    """Return what starts a process of its own with a command line of this app."""
    return [*machine.python_command(_package(app)), *command_line]


def _package(app: steps.App) -> str:
    """Return the package of an app as this code is found: apps.sentiment, or fieldnets.apps.sentiment."""
    return app.config.__module__.rpartition(".")[0]


def evaluate(app: steps.App, options: parser.EvaluateOptions) -> cli.Result:
    """Evaluate a run on its own held-out part, or on other data."""
    from shared import progress

    app.refuse(options.settings)
    _check_track(options.track)
    files.RunFolder.open(options.run_dir)
    quiet_tensorflow()
    opened, step = app.run(), app.evaluate()
    run = opened.open_run(options.run_dir)
    output = options.output_dir or run.folder.evaluation
    aside = output / "quarantine.csv"
    run, moved = _with_own_data(app, run, options.data)
    of_run, others = options.data is None or moved, options.write_rows is not None or bool(options.predictions)
    if others and not of_run:
        raise errors.InputError(
            "--predictions, --write-rows: expected the run's own data. Received: --data with others"
        )
    own = opened.own_data(run, quarantine=aside if options.data is None else None)
    if of_run:
        part = opened.own_part(run, *own, options.split or "test")
    else:
        part = opened.other_part(run, *own, options.settings, options.split or "all", quarantine=aside)
    if others:
        return _other_models(app, options, run, own, part)
    with progress.heartbeat("evaluate"):
        evaluation = step.evaluate(run, *own, part, seed=options.seed, output=output)
    tracked = _tracking().evaluation(run.folder, output, app=app.name) if options.track else {}
    checks = requirements.check(options.require, evaluation.metrics)
    return {
        "metrics": evaluation.metrics["metrics"],
        **{f"baseline {name}": values for name, values in evaluation.metrics["baselines"].items()},
        "report": str(output / "report.html"),
        **set_aside(part.dataset.quarantined, aside),
        **tracked,
        **_checked(checks),
    }


def _other_models(app: steps.App, options: parser.EvaluateOptions, run: Any, own: Any, part: Any) -> cli.Result:
    """Write the rows that another model must score, or judge the predictions of one or more."""
    from shared import progress
    from shared.evaluation import other_models

    step = app.evaluate()
    rows = step.rows(run, *own, part)
    if options.write_rows is not None:
        return {"rows": rows.write(options.write_rows), "output": str(options.write_rows)}
    found = [step.read(path, rows) for path in options.predictions]
    names = [each.name for each in found]
    if len(set(names)) < len(names):
        raise errors.InputError(f"--predictions: expected files of different names. Received: {', '.join(names)}")
    result: dict[str, Any] = {}
    checks: list[requirements.Check] = []
    for each in found:
        folder = f"evaluation_{each.name}"
        output = options.output_dir / folder if options.output_dir else run.folder.path / folder
        with progress.heartbeat("evaluate"):
            evaluation = step.given(run, *own, part, each, seed=options.seed, output=output)
        checks += requirements.check(options.require, evaluation.metrics)
        result |= {
            each.name: evaluation.metrics["metrics"],
            f"{each.name} minus the run's model": evaluation.metrics["differences"][other_models.OWN_MODEL],
            f"report {each.name}": str(output / "report.html"),
        }
    return {**result, **_checked(checks)}


def _check_track(tracker: str | None) -> None:
    """Raise ``errors.InputError`` where a run could not be tracked, before it is trained or evaluated."""
    if tracker is not None:
        _tracking().check()


def _tracking() -> Any:
    from shared.runs import tracking

    return tracking


def _checked(checks: Sequence[requirements.Check]) -> dict[str, Any]:
    """Return what ``evaluate`` says of the requirements, and the exit code of a gate that failed."""
    if not checks:
        return {}
    for each in checks:
        if not each.met:
            log.error("%s", each)
    failed = not all(each.met for each in checks)
    code = errors.GateError.exit_code if failed else 0
    return {"requirements": [each.to_json() for each in checks], "exit_code": code}


def explain(app: steps.App, arguments: argparse.Namespace) -> cli.Result:
    """Write the page or picture that shows why the model answers one input as it does."""
    if app.page_suffixes and arguments.output.suffix not in app.page_suffixes:
        raise errors.InputError(f"--output: expected a name that ends in .html. Received: {arguments.output}")
    files.RunFolder.open(arguments.run_dir)
    quiet_tensorflow()
    step = app.explain()
    options = _typed(step.options, arguments)
    told = step.explain(app.run().open_run(options.run_dir), options)
    return {**told, "output": str(options.output)}


def predict(app: steps.App, arguments: argparse.Namespace) -> cli.Result:
    """Score files of any length in bounded memory, with a run or with a bundle; or a share of them, or join shares."""
    from shared import batch, shards

    settings = app.source_settings(arguments)
    app.refuse(settings)
    # A shard that is asked for again may be finished: then it is compared with what is asked for.
    again = arguments.shard and arguments.resume
    batch.check_output(arguments.output, overwrite=arguments.overwrite or again)
    if arguments.shard:
        shards.check_place(arguments.output)
    quiet_tensorflow()
    step = app.predict()
    options = _typed(step.options, arguments, settings)
    if options.merge:
        return predicting.merge(step, options)
    if options.ray_address is not None:
        return predicting.on_ray(app, step, options)
    smoke = _is_smoke(options)
    if smoke:
        log.warning("%s. %s", resources.SMOKE, resources.SMOKE_SENTENCE)
    result: cli.Result = step.predict(options)
    return {**result, "use": resources.SMOKE} if smoke else result


def _is_smoke(options: parser.PredictOptions) -> bool:
    """Return whether the run or the bundle that predicts is not for use."""
    from shared.bundle import reading

    if options.model_dir is None:
        return resources.is_smoke(files.RunFolder(options.run_dir))
    manifest = reading.find(options.model_dir) / reading.EXTRA / "manifest.json"
    return manifest.exists() and files.read_json(manifest).get("smoke") is True


def export(app: steps.App, options: parser.ExportOptions) -> cli.Result:
    """Write a checked serving bundle."""
    from shared import progress
    from shared.bundle import signing

    files.RunFolder.open(options.run_dir)
    engines = formats.chosen(options.format, int8=options.int8)
    with signing.signing(options.sign):
        quiet_tensorflow()
        opened, step = app.run(), app.export()
        run = opened.open_run(options.run_dir)
        run, _ = _with_own_data(app, run, options.data)
        with progress.heartbeat("export"):
            exported = step.export(run, *opened.own_data(run), options.output_dir, engines=engines)
    return {"bundle": str(exported.path), "version": exported.version, "parity": dict(exported.parity)}


def serve(app: steps.App, options: settings.Settings, *, quiet: bool) -> cli.Result:
    """Serve bundles until interrupted; they say themselves what they take. Each request is logged, unless ``quiet``."""
    from shared.serving import registry
    from shared.training import runtime

    registry.folders(options.model_dirs)
    runtime.limit_threads(operation_threads(options.threads))
    from shared.serving import metrics, server

    metrics.show_log(quiet=quiet)
    # uvicorn finishes what it accepted, and then raises the signal that stopped it.
    with contextlib.suppress(KeyboardInterrupt):
        server.serve(options, reader=app.reader())
    return {"served": ", ".join(map(str, options.model_dirs))}


def operation_threads(wanted: int = 0) -> int:
    """Return how many cores one operation of TensorFlow may use: as many as wanted, or half of them."""
    return wanted or max(machine.usable_cores() // 2, 1)


def monitor(app: steps.App, options: parser.MonitorOptions) -> cli.Result:
    """Compare new inputs with the bundle's reference; exit code 3 on drift."""
    from shared.bundle import reading

    app.refuse(options.settings)
    reading.find(options.model_dir)
    quiet_tensorflow()
    step = app.monitor()
    bundle = reading.load(options.model_dir)
    # Without a folder for the report bad rows still have one: they were promised a file.
    aside = (options.output_dir or pathlib.Path("runs") / f"{app.name}-monitor") / "quarantine.csv"
    dataset = step.load(options.settings, bundle, quarantine=aside)
    for line in (step.describe(dataset), *dataset.notes):
        log.info("%s", line)
    result = step.monitor(bundle, dataset, output=options.output_dir)
    return {**result, "notes": list(dataset.notes), **set_aside(dataset.quarantined, aside)}


def tune(app: steps.App, options: parser.TuneOptions) -> cli.Result:
    """Search hyperparameters on validation data and write the best config file."""
    from shared import launch

    helper = launch.is_helper()
    quiet_tensorflow()
    from shared.training import tuning

    training, step = app.train(), app.tune()
    many = (options.workers > 1 or options.ray_address is not None) and not helper

    def start(count: int) -> None:
        launch.helpers(_command(app, options.command_line), count=count, ray_address=options.ray_address)

    wanted = tuning.Search(
        settings=options.settings,
        train=lambda settings, folder: train_into(folder, training, settings),
        metric=step.metric,
        suggest=step.suggest,
        trials=options.trials,
        output=options.output_dir,
        workers=options.workers,
        prune=options.prune,
        start=start if many else None,
    )
    if helper:
        launch.end_with_parent()
        tuning.work(wanted)
        return {}
    return tuning.search(wanted)


def _with_own_data(app: steps.App, run: Any, data: Sequence[str] | None) -> tuple[Any, bool]:
    """Return the run with the place of its data, and whether they have moved to ``data``; what is there is checked.

    Raises:
        errors.InputError: The run's own data are not where they were, and not at ``data``.
    """
    locate = app.data().locate
    try:
        locate(run.settings)
    except errors.InputError as error:
        if data is None:
            raise errors.InputError(
                f"{run.folder.path}: expected the run's own data where they were trained on, "
                f"{', '.join(run.settings.data)}. Received: nothing there; if they have moved, --data names their new "
                f"place, and they are compared with what the run recorded ({error})"
            ) from None
        return dataclasses.replace(run, settings=run.settings.replace({"data": tuple(data)})), True
    return run, False


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
