"""The command line of the fraud app: ``fraud-detection VERB ...``. TensorFlow is imported inside the verbs."""

import argparse
import logging
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from apps.fraud_detection import config
from shared import cli, errors, files, flags
from shared.bundle import formats
from shared.serving import verb

NAME = "fraud-detection"
log = logging.getLogger("fieldnets")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the app's command line and return its exit code."""
    parser = cli.app_parser(
        NAME,
        description="Card fraud: train, measure, explain, queue alerts, learn from verdicts, export, serve.",
        config_class=config.Config,
        data_fields=config.DATA_FIELDS,
        commands=cli.Commands(
            data=describe_data,
            train=train,
            evaluate=evaluate,
            explain=explain,
            predict=predict,
            export=export,
            serve=verb.serve,
            monitor=monitor,
            tune=tune,
        ),
        formats=("saved-model", *formats.FILES),
        more=_add_verbs,
    )
    return cli.run(parser, argv)


def _add_verbs(verbs: cli.Verbs) -> None:
    """Add the verbs of a fraud desk, and what only this app's ``predict`` has."""

    def reading(name: str, command: cli.Command, help: str) -> argparse.ArgumentParser:
        return cli.add_verb(verbs, name, command, help=help, config_class=config.Config, fields=config.DATA_FIELDS)

    predicting = verbs.choices["predict"]
    predicting.add_argument(
        "--history", type=pathlib.Path, action="append", help="earlier transactions, labelled if possible; not scored"
    )
    worlds = ("customers", "terminals", "days", "drift_day")
    simulating = cli.add_verb(
        verbs, "simulate", simulate, help="write simulated transactions", config_class=config.Config, fields=worlds
    )
    simulating.add_argument("--output", type=pathlib.Path, required=True, help="the .parquet file to write")
    simulating.add_argument("--overwrite", action="store_true", help="replace it if it exists")

    queue = reading("alerts", alerts, "rank a day's transactions for investigators")
    cli.add_run_dir(queue, NAME)
    queue.add_argument("--day", help="day to rank, as 2018-08-10 (default: the last of the data)")
    queue.add_argument("--budget", type=flags.at_least(1), help="most alerts (default: the run's)")
    queue.add_argument("--rank-by", choices=("score", "expected_loss"), default="score", help="default: score")
    queue.add_argument("--output-dir", type=pathlib.Path, help="default: RUN_DIR/alerts/DAY")

    verdicts = cli.add_verb(verbs, "feedback", feedback, help="record investigators' verdicts")
    cli.add_run_dir(verdicts, NAME)
    verdicts.add_argument("--labels", type=pathlib.Path, required=True, help="CSV or Parquet: ids and verdicts")

    again = reading("update", update, "learn from new labels; keep the better model")
    cli.add_run_dir(again, NAME)


def describe_data(arguments: argparse.Namespace) -> cli.Result:
    """Check a source, cut it in time, and write certificate, schema, parts and, if asked, the normalised data set."""
    from apps.fraud_detection import data

    settings = _source_settings(arguments)
    named = arguments.output_dir or arguments.write
    folder = named or pathlib.Path("runs") / f"{NAME}-data"
    # Without a name it is a look at the data, not a result to keep: the next look replaces it.
    cli.refuse_existing(folder / "split.json", overwrite=arguments.overwrite or not named)
    _refuse_over_inputs(settings, [folder / name for name in ("split.json", "split.csv", "transactions.parquet")])
    prepared = data.prepare_source(settings)
    files.write_json(folder / "split.json", prepared.certificate)
    names = prepared.transactions.schema
    # Beside the written table stands its own schema; a schema that was given is not written over.
    own = names if arguments.output_dir or not arguments.write else data.table_schema(names)
    if not _is_same(folder / "schema.json", settings.schema):
        files.write_json(folder / "schema.json", own.to_json())
    with files.atomic(folder / "split.csv") as temporary:
        data.parts(prepared).to_csv(temporary, index=False)
    if arguments.write:
        with files.atomic(arguments.write / "transactions.parquet") as temporary:
            data.table(prepared.transactions).to_parquet(temporary, index=False)
    return {
        "source": data.describe(prepared.transactions),
        "label": names.label or "none",
        "columns": dict(prepared.transactions.roles),
        "notes": list(prepared.transactions.notes),
        "schema": names.to_json(),
        "certificate": str(folder / "split.json"),
        "split": prepared.certificate,
    }


def train(arguments: argparse.Namespace) -> cli.Result:
    """Train into a run folder, or go on with an interrupted run."""
    from apps.fraud_detection.readers import sources

    settings = cli.resolve_config(config.Config, arguments)
    for spec in settings.data:
        sources.locate(spec)  # before --overwrite deletes anything
    folder = files.RunFolder.create(arguments.run_dir, resume=arguments.resume, overwrite=arguments.overwrite)
    _load_tensorflow()
    from apps.fraud_detection import train as training

    with folder.taken_back_unless_begun():
        return training.train(settings, folder)


def evaluate(arguments: argparse.Namespace) -> cli.Result:
    """Evaluate a run on its own held-out parts, or on other data."""
    files.RunFolder.open(arguments.run_dir)
    _load_tensorflow()
    from apps.fraud_detection import data, evaluate_run
    from apps.fraud_detection import run as loaded_run

    run = loaded_run.open_run(arguments.run_dir, every_fold=True)
    own = data.prepare_again(run.settings, run.folder)
    if hasattr(arguments, "data"):
        if arguments.split not in (None, "all"):
            raise errors.InputError(
                f"--split {arguments.split}: expected all for data that are not the run's own. Received: a part"
            )
        part = evaluate_run.other_part(run, _source_settings(arguments), own)
    else:
        part = evaluate_run.own_part(run, own, arguments.split or "test")
    output = arguments.output_dir or run.folder.evaluation
    result = evaluate_run.evaluate_run(run, own, part, seed=arguments.seed, output=output)
    return {
        "metrics": result.metrics["metrics"],
        **{f"baseline {name}": values for name, values in result.metrics["baselines"].items()},
        "report": str(output / "report.html"),
    }


def explain(arguments: argparse.Namespace) -> cli.Result:
    """Write the page that says why a transaction is ranked where it is."""
    if arguments.output.suffix not in (".html", ".htm"):
        raise errors.InputError(f"--output: expected a name that ends in .html. Received: {arguments.output}")
    files.RunFolder.open(arguments.run_dir)
    _load_tensorflow()
    from apps.fraud_detection import explain as explaining
    from apps.fraud_detection import run as loaded_run

    run = loaded_run.open_run(arguments.run_dir)
    found, row = explaining.find(run, arguments.input)
    explanation = explaining.explain(run, found, row)
    explaining.write(run, explanation, arguments.output)
    return explaining.summary(explanation) | {"output": str(arguments.output)}


def predict(arguments: argparse.Namespace) -> cli.Result:
    """Score files of any length in bounded memory."""
    from shared import batch

    batch.check_output(arguments.output, overwrite=arguments.overwrite)
    _load_tensorflow()
    from apps.fraud_detection import predict as predicting

    return predicting.predict(arguments)


def export(arguments: argparse.Namespace) -> cli.Result:
    """Write a checked serving bundle."""
    files.RunFolder.open(arguments.run_dir)
    names = formats.chosen(arguments.format, int8=arguments.int8)
    _load_tensorflow()
    from apps.fraud_detection import data
    from apps.fraud_detection import export as exporting
    from apps.fraud_detection import run as loaded_run

    run = loaded_run.open_run(arguments.run_dir)
    own = data.prepare_again(run.settings, run.folder)
    exported = exporting.export_run(run, own, arguments.output_dir, engines=names)
    return {"bundle": str(exported.path), "version": exported.version, "parity": dict(exported.parity)}


def monitor(arguments: argparse.Namespace) -> cli.Result:
    """Compare new transactions with the bundle's reference; exit code 3 on drift."""
    from shared.bundle import reading as bundle

    bundle.find(arguments.model_dir)
    _load_tensorflow()
    from apps.fraud_detection import data, inputs, prepare
    from apps.fraud_detection import monitor as monitoring

    loaded = bundle.load(arguments.model_dir)
    trained_on = inputs.Inputs.from_json(loaded.extra("inputs.json")).schema
    found = prepare.load_source(_source_settings(arguments), trained_on=trained_on, labelled=False)
    data.tell(found)
    return monitoring.monitor(loaded, found, output=arguments.output_dir)


def tune(arguments: argparse.Namespace) -> cli.Result:
    """Search hyperparameters on validation data and write the best config file."""
    settings = cli.resolve_config(config.Config, arguments)
    _load_tensorflow()
    from apps.fraud_detection import tune as tuning

    return tuning.tune(settings, trials=arguments.trials, output=arguments.output_dir)


def simulate(arguments: argparse.Namespace) -> cli.Result:
    """Write simulated transactions of any number to a Parquet file, in the memory of one day."""
    from apps.fraud_detection import prepare, simulator
    from shared import progress

    if arguments.output.suffix != ".parquet":
        raise errors.InputError(f"--output: expected a name that ends in .parquet. Received: {arguments.output}")
    cli.refuse_existing(arguments.output, overwrite=arguments.overwrite)
    settings = cli.source_settings(config.Config, config.DATA_FIELDS, arguments)
    with progress.rows("transactions simulated") as advance:
        rows = simulator.write(prepare.world(settings), arguments.output, on_rows=advance)
    return {"output": str(arguments.output), "rows": rows}


def alerts(arguments: argparse.Namespace) -> cli.Result:
    """Write the ranked queue of a day with reasons: csv, parquet and html."""
    files.RunFolder.open(arguments.run_dir)
    _load_tensorflow()
    from apps.fraud_detection import alerts as queues
    from apps.fraud_detection import run as loaded_run

    run = loaded_run.open_run(arguments.run_dir)
    given = getattr(arguments, "data", None)
    day = arguments.day
    if given is not None and len(given) == 1 and queues.is_day(given[0]):
        # A date in place of a source is a day of the run's own.
        day, given = given[0], None
    settings = run.settings if given is None else _source_settings(arguments)
    found = queues.queue(run, settings, day=day, budget=arguments.budget, rank_by=arguments.rank_by)
    folder = arguments.output_dir or run.folder.path / "alerts" / found.day.replace(" ", "_")
    _refuse_over_inputs(settings, [folder / name for name in queues.WRITTEN])
    queues.write(found, folder)
    return {
        "day": found.day,
        "transactions": found.transactions,
        "alerts": len(found.table),
        "above_threshold": int(found.table["alerted"].sum()),
        "queue": str(folder / "queue.csv"),
        "report": str(folder / "queue.html"),
    }


def feedback(arguments: argparse.Namespace) -> cli.Result:
    """Record investigators' verdicts for the next ``update``."""
    from apps.fraud_detection import feedback as verdicts
    from apps.fraud_detection import inputs

    folder = files.RunFolder.open(arguments.run_dir)
    files.refuse_output_over_input(folder.path / verdicts.NAME, [arguments.labels])
    names = inputs.Inputs.from_json(files.read_json(folder.path / inputs.FILE)).schema
    done = verdicts.record(folder.path, arguments.labels, id_column=names.id, label_column=names.label)
    return {
        "verdicts": done.verdicts,
        "changed": done.changed,
        "on_record": done.total,
        "on_record_not_in_the_data": verdicts.check(folder, names)["verdicts_not_in_the_data"],
        "next": f"fraud-detection update --run-dir {folder.path}",
    }


def update(arguments: argparse.Namespace) -> cli.Result:
    """Train a challenger on the newest labels; exit code 3 where the champion stays."""
    files.RunFolder.open(arguments.run_dir)
    _load_tensorflow()
    from apps.fraud_detection import run as loaded_run
    from apps.fraud_detection import update as updating
    from shared.training import runtime

    run = loaded_run.open_run(arguments.run_dir)
    own = run.settings
    runtime.configure(seed=own.seed, deterministic=own.deterministic, precision=own.precision)
    settings = _source_settings(arguments) if hasattr(arguments, "data") else run.settings
    return updating.update(run, settings, seed=arguments.seed)


def _refuse_over_inputs(settings: config.Config, outputs: Sequence[pathlib.Path]) -> None:
    """Refuse to write over a file of a folder that is read."""
    from apps.fraud_detection import prepare
    from apps.fraud_detection.readers import sources

    inputs = sources.files_of(settings.data, prepare.reading(settings))
    for output in outputs:
        files.refuse_output_over_input(output, inputs)


def _is_same(path: pathlib.Path, given: str | None) -> bool:
    return given is not None and path.exists() and path.samefile(given)


def _load_tensorflow() -> None:
    from shared.training import runtime

    runtime.quiet_logs()


def _source_settings(arguments: argparse.Namespace) -> Any:
    """Return the default config changed by the flags that say how to read a source."""
    return cli.source_settings(config.Config, config.DATA_FIELDS, arguments)


if __name__ == "__main__":
    sys.exit(main())
