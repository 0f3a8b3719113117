"""The command line of the fraud app: ``fraud-detection VERB ...``; what each verb does is in ``shared.verbs``."""

import argparse
import pathlib
import shutil
import sys
from collections.abc import Sequence
from typing import Any

from apps.fraud_detection import config
from shared import cli, errors, files, parser, steps, verbs


def main(argv: Sequence[str] | None = None) -> int:
    """Run the app's command line and return its exit code."""
    return verbs.main(APP, argv)


def data() -> steps.Data:
    """Return the steps of ``data``; no row is ever set aside."""
    from apps.fraud_detection import data, folds, inspect_data

    return steps.Data(
        inspect=inspect_data.inspected,
        locate=data.locate,
        load=lambda settings, **_quarantine: data.load(settings),
        split=folds.split,
        describe=data.describe,
        more=write_schema,
        table=data.parts,
        write=lambda found, _table, options: data.write(found, options.write),
    )


def write_schema(found: Any, folder: pathlib.Path, options: parser.DataOptions, into: pathlib.Path) -> cli.Result:
    """Write what the columns mean, and say it; refuse to write anything over a file that is read."""
    from apps.fraud_detection import data

    settings = options.settings
    refuse_over_inputs(settings, [folder / name for name in ("split.json", "split.csv", "transactions.parquet")])
    # Beside the written table stands its own schema; a schema that was given is not written over.
    own = found.schema if options.output_dir or not options.write else data.table_schema(found.schema)
    path, given = folder / "schema.json", settings.schema
    if given is None or not path.exists() or not path.samefile(given):
        files.write_json(into / path.name, own.to_json())
    else:
        shutil.copyfile(path, into / path.name)
    return {"label": found.schema.label or "none", "schema": found.schema.to_json()}


def run() -> steps.Run:
    """Return what the verbs need that start from a finished run."""
    from apps.fraud_detection import run

    return steps.Run(
        open_run=run.open_run,
        own_data=run.own_data,
        own_part=run.own_part,
        other_part=run.other_part,
    )


def train() -> steps.Train:
    """Return the steps of ``train``; what it takes for a split are the folds, and no row is ever set aside."""
    from apps.fraud_detection import data, folds, train

    return steps.Train(
        load=lambda settings, **_quarantine: data.load(settings),
        describe=data.describe,
        split=folds.split,
        train=train.train,
    )


def evaluate() -> steps.Evaluate:
    """Return the steps of ``evaluate``."""
    from apps.fraud_detection import evaluate_run

    return steps.Evaluate(
        evaluate=evaluate_run.evaluate_run, rows=evaluate_run.rows_to_score, given=evaluate_run.evaluate_given
    )


def explain() -> steps.Explain:
    """Return the steps of ``explain``: why a transaction is ranked where it is."""
    from apps.fraud_detection import explain

    return steps.Explain(explain=explain.explain_input)


def predict() -> steps.Predict:
    """Return the steps of ``predict``."""
    from apps.fraud_detection import predict

    return steps.Predict(predict=predict.predict, options=predict.Options)


def export() -> steps.Export:
    """Return the steps of ``export``."""
    from apps.fraud_detection import export

    return steps.Export(export=export.export_run)


def monitor() -> steps.Monitor:
    """Return the steps of ``monitor``."""
    from apps.fraud_detection import data, monitor

    return steps.Monitor(load=monitor.load, describe=data.describe, monitor=monitor.monitor)


def tune() -> steps.Tune:
    """Return the steps of ``tune``."""
    return steps.Tune(metric="average_precision", suggest=config.suggest)


def simulate(arguments: argparse.Namespace) -> cli.Result:
    """Write simulated transactions of any number to a Parquet file, in the memory of one day."""
    from apps.fraud_detection import data, simulator
    from shared import progress

    if arguments.output.suffix != ".parquet":
        raise errors.InputError(f"--output: expected a name that ends in .parquet. Received: {arguments.output}")
    cli.refuse_existing(arguments.output, overwrite=arguments.overwrite)
    settings = APP.source_settings(arguments)
    with progress.rows("transactions simulated") as advance:
        rows = simulator.write(data.world(settings), arguments.output, on_rows=advance)
    return {"output": str(arguments.output), "rows": rows}


def histories(arguments: argparse.Namespace) -> cli.Result:
    """Write what each transaction is compared with, of data larger than memory, by several processes."""
    from apps.fraud_detection import histories

    return histories.write(
        APP.source_settings(arguments),
        arguments.output,
        workers=arguments.workers,
        memory_bytes=arguments.memory,
        resume=arguments.resume,
        overwrite=arguments.overwrite,
    )


def alerts(arguments: argparse.Namespace) -> cli.Result:
    """Write the ranked queue of a day with reasons: csv, parquet and html."""
    files.RunFolder.open(arguments.run_dir)
    verbs.quiet_tensorflow()
    from apps.fraud_detection import alerts as queues
    from apps.fraud_detection import run as loaded_run

    run = loaded_run.open_run(arguments.run_dir)
    given = getattr(arguments, "data", None)
    day = arguments.day
    if given is not None and len(given) == 1 and queues.is_day(given[0]):
        # A date in place of a source is a day of the run's own.
        day, given = given[0], None
    settings = run.settings if given is None else APP.source_settings(arguments)
    found = queues.queue(run, settings, day=day, budget=arguments.budget, rank_by=arguments.rank_by)
    folder = arguments.output_dir or run.folder.path / "alerts" / found.day.replace(" ", "_")
    refuse_over_inputs(settings, [folder / name for name in queues.WRITTEN])
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
    names = inputs.Inputs.from_json(
        files.read_json(folder.path / inputs.FILE), where=str(folder.path / inputs.FILE)
    ).schema
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
    verbs.quiet_tensorflow()
    from apps.fraud_detection import run as loaded_run
    from apps.fraud_detection import update as updating
    from shared import resuming
    from shared.training import runtime

    run = loaded_run.open_run(arguments.run_dir)
    own = run.settings
    runtime.configure(seed=own.seed, deterministic=own.deterministic, precision=own.precision)
    settings = APP.source_settings(arguments) if hasattr(arguments, "data") else run.settings
    with resuming.locked(run.folder.path, what="`update` of one run"):
        return updating.update(run, settings, seed=arguments.seed)


def refuse_over_inputs(settings: config.Config, outputs: Sequence[pathlib.Path]) -> None:
    """Refuse to write over a file of a folder that is read."""
    from apps.fraud_detection import data
    from apps.fraud_detection.readers import sources

    inputs = sources.files_of(settings.data, data.reading(settings))
    for output in outputs:
        files.refuse_output_over_input(output, inputs)


EXAMPLES = {
    "simulate": ("--output payments.parquet", "--customers 1000 --days 200 --output payments.parquet"),
    "histories": (
        "--data payments.parquet --output histories",
        "--data payments.parquet --output histories --workers 4 --memory 8GiB",
    ),
    "alerts": ("--day 2018-08-10 --budget 50", "--data newer.csv --rank-by expected_loss"),
    "feedback": ("--labels verdicts.csv", "--run-dir runs/mine --labels verdicts.parquet"),
    "update": ("--run-dir runs/fraud-detection", "--run-dir runs/mine --data newer.csv"),
}


def add_verbs(given: cli.Verbs) -> None:
    """Add the verbs of a fraud desk, and what only this app's ``predict`` has."""

    def reading(name: str, command: cli.Command, help: str) -> argparse.ArgumentParser:
        return cli.add_verb(given, name, command, help=help, config_class=config.Config, fields=config.DATA_FIELDS)

    explained = next(each for each in given.choices["explain"]._actions if each.dest == "input")
    explained.help = (
        "FILE for its last transaction, FILE:ID for one of its rows (the row's number, from 1, where it has no id), or "
        "the ID of one of the run's own"
    )
    predicting = given.choices["predict"]
    predicting.add_argument(
        "--history", type=pathlib.Path, action="append", help="earlier transactions, labelled if possible; not scored"
    )
    predicting.add_argument(
        "--histories", type=pathlib.Path, help="what `histories` wrote of the files of --history and the inputs"
    )
    worlds = ("customers", "terminals", "days", "drift_day")
    simulating = cli.add_verb(
        given, "simulate", simulate, help="write simulated transactions", config_class=config.Config, fields=worlds
    )
    simulating.add_argument("--output", type=pathlib.Path, required=True, help="the .parquet file to write")
    simulating.add_argument("--overwrite", action="store_true", help="replace it if it exists")

    computing = reading("histories", histories, "write the histories of cards and terminals, of data of any size")
    computing.add_argument("--output", type=pathlib.Path, required=True, help="the folder to write")
    computing.add_argument("--workers", type=cli.at_least(1), default=1, help="processes (default: 1)")
    computing.add_argument("--memory", type=cli.byte_count, default="2GiB", help="of all together (default: 2GiB)")
    begun = computing.add_mutually_exclusive_group()
    begun.add_argument("--resume", action="store_true", help="go on with an interrupted call")
    begun.add_argument("--overwrite", action="store_true", help="replace the folder if it exists")

    queue = reading("alerts", alerts, "rank a day's transactions for investigators")
    cli.add_run_dir(queue, APP.name)
    queue.add_argument("--day", help="day to rank, as 2018-08-10 (default: the last of the data)")
    queue.add_argument("--budget", type=cli.at_least(1), help="most alerts (default: the run's)")
    queue.add_argument("--rank-by", choices=("score", "expected_loss"), default="score", help="default: score")
    queue.add_argument("--output-dir", type=pathlib.Path, help="default: RUN_DIR/alerts/DAY")

    verdicts = cli.add_verb(given, "feedback", feedback, help="record investigators' verdicts")
    cli.add_run_dir(verdicts, APP.name)
    verdicts.add_argument("--labels", type=pathlib.Path, required=True, help="CSV or Parquet: ids and verdicts")

    again = reading("update", update, "learn from new labels; keep the better model")
    cli.add_run_dir(again, APP.name)
    for name, examples in EXAMPLES.items():
        given.choices[name].examples = tuple(f"{APP.name} {name} {each}" for each in examples)


APP = steps.App(
    name="fraud-detection",
    config=config.Config,
    description="Card fraud: train, measure, explain, queue alerts, learn from verdicts, export, serve.",
    data_fields=config.DATA_FIELDS,
    data=data,
    run=run,
    train=train,
    evaluate=evaluate,
    explain=explain,
    predict=predict,
    export=export,
    monitor=monitor,
    tune=tune,
    more=add_verbs,
    page_suffixes=(".html", ".htm"),
    takes="rows",
)

if __name__ == "__main__":
    sys.exit(main())
