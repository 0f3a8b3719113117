"""The command line of the sentiment app: ``sentiment VERB ...``. TensorFlow is imported inside the verbs."""

import argparse
import logging
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from apps.sentiment import config
from shared import cli, errors, files
from shared.bundle import formats
from shared.serving import verb

NAME = "sentiment"
log = logging.getLogger("fieldnets")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the app's command line and return its exit code."""
    parser = cli.app_parser(
        NAME,
        description="Text sentiment: train, evaluate, explain, export, serve.",
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
    )
    return cli.run(parser, argv)


def describe_data(arguments: argparse.Namespace) -> cli.Result:
    """Check a source, split it, and write certificate, parts and, if asked, the normalised data set."""
    from apps.sentiment import data, prepare

    settings = _source_settings(arguments)
    named = arguments.output_dir or arguments.write
    folder = named or pathlib.Path("runs") / f"{NAME}-data"
    # Without a name it is a look at the data, not a result to keep: the next look replaces it.
    cli.refuse_existing(folder / "split.json", overwrite=arguments.overwrite or not named)
    reviews = prepare.load_source(settings, quarantine=folder / "quarantine.csv")
    split, certificate = prepare.split_source(reviews, settings)
    files.write_json(folder / "split.json", certificate)
    table = data.frame(reviews, split)
    with files.atomic(folder / "split.csv") as temporary:
        table.drop(columns=["text", "label"]).to_csv(temporary, index=False)
    if arguments.write:
        with files.atomic(arguments.write / "reviews.parquet") as temporary:
            table.to_parquet(temporary, index=False)
    return {
        "source": data.describe(reviews),
        "columns": dict(reviews.columns),
        "notes": list(reviews.notes),
        "certificate": str(folder / "split.json"),
        "split": certificate,
        **_set_aside(reviews.quarantined, folder / "quarantine.csv"),
    }


def train(arguments: argparse.Namespace) -> cli.Result:
    """Train into a run folder, or go on with an interrupted run."""
    from apps.sentiment.readers import sources

    settings = cli.resolve_config(config.Config, arguments)
    for spec in settings.data:
        sources.locate(spec)  # before --overwrite deletes anything
    folder = files.RunFolder.create(arguments.run_dir, resume=arguments.resume, overwrite=arguments.overwrite)
    _load_tensorflow()
    from apps.sentiment import train as training

    with folder.taken_back_unless_begun():
        return training.train(settings, folder)


def evaluate(arguments: argparse.Namespace) -> cli.Result:
    """Evaluate a run on its own held-out part, or on other data."""
    files.RunFolder.open(arguments.run_dir)
    _load_tensorflow()
    from apps.sentiment import predictions
    from apps.sentiment import run as loaded_run
    from shared.evaluation import part as part_of

    run = loaded_run.open_run(arguments.run_dir)
    own, split = loaded_run.own_data(run)
    output = arguments.output_dir or run.folder.evaluation
    if hasattr(arguments, "data"):
        settings, part, aside = _source_settings(arguments), arguments.split or "all", output / "quarantine.csv"
        chosen = loaded_run.other_part(run, own, split, settings, part, quarantine=aside)
    else:
        chosen = part_of.of_run(own, split, arguments.split or "test", run.folder)
    result = predictions.evaluate_part(run, own, split, chosen, seed=arguments.seed, output=output)
    return {
        "metrics": result.metrics["metrics"],
        **{f"baseline {name}": values for name, values in result.metrics["baselines"].items()},
        "report": str(output / "report.html"),
        **_set_aside(chosen.dataset.quarantined if hasattr(arguments, "data") else 0, output / "quarantine.csv"),
    }


def explain(arguments: argparse.Namespace) -> cli.Result:
    """Write the page that shows which words led the model to its prediction."""
    if arguments.output.suffix not in (".html", ".htm"):
        raise errors.InputError(f"--output: expected a name that ends in .html. Received: {arguments.output}")
    files.RunFolder.open(arguments.run_dir)
    _load_tensorflow()
    from apps.sentiment import explain as explaining
    from apps.sentiment import run as loaded_run

    run = loaded_run.open_run(arguments.run_dir)
    text = explaining.read_input(arguments.input)
    explanation = explaining.explain(run, text, seed=arguments.seed)
    explaining.write(run, text, explanation, arguments.output)
    return explaining.summary(explanation) | {"output": str(arguments.output)}


def predict(arguments: argparse.Namespace) -> cli.Result:
    """Score files of any length in bounded memory."""
    from shared import batch

    batch.check_output(arguments.output, overwrite=arguments.overwrite)
    for path in arguments.input:
        if path.is_dir() and path.resolve() in arguments.output.resolve().parents:
            raise errors.InputError(
                f"--output: expected a file outside of the folders that are read. "
                f"Received: {arguments.output}, in {path}"
            )
    _load_tensorflow()
    from apps.sentiment import predict as predicting

    return predicting.predict(arguments)


def export(arguments: argparse.Namespace) -> cli.Result:
    """Write a checked serving bundle."""
    files.RunFolder.open(arguments.run_dir)
    names = formats.chosen(arguments.format, int8=arguments.int8)
    _load_tensorflow()
    from apps.sentiment import export as exporting
    from apps.sentiment import run as loaded_run

    run = loaded_run.open_run(arguments.run_dir)
    own, split = loaded_run.own_data(run)
    exported = exporting.export_run(run, own, split, arguments.output_dir, engines=names)
    return {"bundle": str(exported.path), "version": exported.version, "parity": dict(exported.parity)}


def monitor(arguments: argparse.Namespace) -> cli.Result:
    """Compare new texts with the bundle's reference; exit code 3 on drift."""
    from shared.bundle import reading as bundle

    bundle.find(arguments.model_dir)
    _load_tensorflow()
    from apps.sentiment import data, prepare
    from apps.sentiment import monitor as monitoring

    loaded = bundle.load(arguments.model_dir)
    # Without a folder for the report bad rows still have one: they were promised a file.
    aside = (arguments.output_dir or pathlib.Path("runs") / f"{NAME}-monitor") / "quarantine.csv"
    reviews = prepare.load_source(_source_settings(arguments), labelled=False, quarantine=aside)
    log.info("%s", data.describe(reviews))
    result = {**monitoring.monitor(loaded, reviews.texts, output=arguments.output_dir), "notes": list(reviews.notes)}
    return result | _set_aside(reviews.quarantined, aside)


def tune(arguments: argparse.Namespace) -> cli.Result:
    """Search hyperparameters on validation data and write the best config file."""
    settings = cli.resolve_config(config.Config, arguments)
    _load_tensorflow()
    from apps.sentiment import tune as tuning

    return tuning.tune(settings, trials=arguments.trials, output=arguments.output_dir)


def _set_aside(rows: int, path: pathlib.Path) -> dict[str, Any]:
    """Return what a verb prints of the rows that it set aside."""
    return {"quarantined_rows": rows, "quarantine": str(path)} if rows else {}


def _load_tensorflow() -> None:
    from shared.training import runtime

    runtime.quiet_logs()


def _source_settings(arguments: argparse.Namespace) -> Any:
    """Return the default config changed by the flags that say how to read a source."""
    return cli.source_settings(config.Config, config.DATA_FIELDS, arguments)


if __name__ == "__main__":
    sys.exit(main())
