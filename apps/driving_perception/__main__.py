"""The command line of the driving app: ``driving-perception VERB ...``. TensorFlow is imported in the verbs."""

import argparse
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from apps.driving_perception import config
from shared import cli, files
from shared.bundle import formats
from shared.serving import verb

NAME = "driving-perception"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the app's command line and return its exit code."""
    parser = cli.app_parser(
        NAME,
        description="Obstacle detection on the road: train, evaluate, explain, export, serve. Not a safety component.",
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
        more=_add_options,
    )
    return cli.run(parser, argv)


def describe_data(arguments: argparse.Namespace) -> cli.Result:
    """Check a source, split it, and write certificate, parts and, if asked, the whole in another format."""
    from apps.driving_perception import data, prepare
    from apps.driving_perception.writers import formats as formats_written

    settings = _source_settings(arguments)
    named = arguments.output_dir or arguments.write
    folder = named or pathlib.Path("runs") / f"{NAME}-data"
    # Without a name it is a look at the data, not a result to keep: the next look replaces it.
    cli.refuse_existing(folder / "split.json", overwrite=arguments.overwrite or not named)
    collection = prepare.load_source(settings, quarantine=folder / "quarantine.csv")
    split, certificate = prepare.split_source(collection, settings)
    files.write_json(folder / "split.json", certificate)
    table = data.frame(collection, split)
    with files.atomic(folder / "split.csv") as temporary:
        table.to_csv(temporary, index=False)
    lost = []
    if arguments.write:
        lost = formats_written.write(collection, table, arguments.write, write_format=settings.write_format)
    return {
        "source": data.describe(collection),
        **({"columns": dict(collection.columns)} if collection.columns else {}),
        "notes": [*certificate["checks"]["notes"], *lost],
        **_set_aside(collection.quarantined, folder),
        "certificate": str(folder / "split.json"),
        "split": certificate,
    }


def train(arguments: argparse.Namespace) -> cli.Result:
    """Train into a run folder, or go on with an interrupted run."""
    from apps.driving_perception.readers import sources

    settings = cli.resolve_config(config.Config, arguments)
    for spec in settings.data:
        sources.locate(spec, data_format=settings.data_format)  # before --overwrite deletes anything
    folder = files.RunFolder.create(arguments.run_dir, resume=arguments.resume, overwrite=arguments.overwrite)
    _load_tensorflow()
    from apps.driving_perception import train as training

    with folder.taken_back_unless_begun():
        return training.train(settings, folder)


def evaluate(arguments: argparse.Namespace) -> cli.Result:
    """Evaluate a run on its own held-out part, or on other data."""
    files.RunFolder.open(arguments.run_dir)
    _load_tensorflow()
    from apps.driving_perception import evaluate_run
    from apps.driving_perception import run as loaded_run
    from shared.evaluation import part as part_of

    run = loaded_run.open_run(arguments.run_dir)
    own, split = evaluate_run.own_data(run)
    output = arguments.output_dir or run.folder.evaluation
    if hasattr(arguments, "data"):
        settings, aside = _source_settings(arguments), output / "quarantine.csv"
        part = evaluate_run.other_part(run, own, split, settings, arguments.split or "all", quarantine=aside)
    else:
        part = part_of.of_run(own, split, arguments.split or "test", run.folder)
    result = evaluate_run.evaluate_run(run, own, split, part, seed=arguments.seed, output=output)
    return {
        "metrics": result.metrics["metrics"],
        **{f"baseline {name}": values for name, values in result.metrics["baselines"].items()},
        "report": str(output / "report.html"),
        **_set_aside(part.dataset.quarantined if hasattr(arguments, "data") else 0, output),
    }


def _set_aside(count: int, folder: pathlib.Path) -> dict[str, str]:
    """Return where boxes and images that were set aside are listed."""
    return {"quarantine": str(folder / "quarantine.csv")} if count else {}


def explain(arguments: argparse.Namespace) -> cli.Result:
    """Write the page that shows what each box was seen by, and what was seen near what was missed."""
    files.RunFolder.open(arguments.run_dir)
    _load_tensorflow()
    from apps.driving_perception import explain as explaining
    from apps.driving_perception import run as loaded_run

    run = loaded_run.open_run(arguments.run_dir)
    return explaining.explain_file(run, arguments)


def predict(arguments: argparse.Namespace) -> cli.Result:
    """Score images in bounded memory."""
    from shared import batch

    batch.check_output(arguments.output, overwrite=arguments.overwrite)
    _load_tensorflow()
    from apps.driving_perception import predict as predicting

    return predicting.predict(arguments)


def export(arguments: argparse.Namespace) -> cli.Result:
    """Write a checked serving bundle."""
    files.RunFolder.open(arguments.run_dir)
    names = formats.chosen(arguments.format, int8=arguments.int8)
    _load_tensorflow()
    from apps.driving_perception import evaluate_run
    from apps.driving_perception import export as exporting
    from apps.driving_perception import run as loaded_run

    run = loaded_run.open_run(arguments.run_dir)
    own, split = evaluate_run.own_data(run)
    exported = exporting.export_run(run, own, split, arguments.output_dir, formats=names)
    return {"bundle": str(exported.path), "version": exported.version, "parity": dict(exported.parity)}


def monitor(arguments: argparse.Namespace) -> cli.Result:
    """Compare new images with the bundle's reference; exit code 3 on drift."""
    from shared.bundle import reading as bundle

    bundle.find(arguments.model_dir)
    _load_tensorflow()
    from apps.driving_perception import monitor as monitoring
    from apps.driving_perception import prepare

    loaded = bundle.load(arguments.model_dir)
    folder = arguments.output_dir or pathlib.Path("runs") / f"{NAME}-monitor"
    collection = prepare.load_source(_source_settings(arguments), labelled=False, quarantine=folder / "quarantine.csv")
    found = monitoring.monitor(loaded, collection, output=arguments.output_dir)
    return {**found, "notes": [*collection.notes], **_set_aside(collection.quarantined, folder)}


def tune(arguments: argparse.Namespace) -> cli.Result:
    """Search hyperparameters on validation data and write the best config file."""
    settings = cli.resolve_config(config.Config, arguments)
    _load_tensorflow()
    from apps.driving_perception import tune as tuning

    return tuning.tune(settings, trials=arguments.trials, output=arguments.output_dir)


def _add_options(verbs: cli.Verbs) -> None:
    """Add what only this app's verbs have."""
    parsers = verbs.choices
    predict_parser, explain_parser = parsers["predict"], parsers["explain"]
    explain_parser.add_argument(
        "--missed",
        type=float,
        nargs=4,
        metavar=("LEFT", "TOP", "RIGHT", "BOTTOM"),
        help="also say why the object in this box was missed [pixels]",
    )
    predict_parser.add_argument(
        "--frames-per-second", type=float, help="the images of each folder are the frames of a clip, at this rate"
    )
    predict_parser.add_argument(
        "--annotated", type=pathlib.Path, metavar="DIR", help="also write pictures and videos with their boxes"
    )
    predict_parser.add_argument(
        "--coco", type=pathlib.Path, metavar="FILE", help="also write the boxes as COCO results (.json)"
    )
    predict_parser.add_argument(
        "--boxes", type=pathlib.Path, metavar="FILE", help="also write a table with a row for each box (.csv)"
    )


def _load_tensorflow() -> None:
    from shared.training import runtime

    runtime.quiet_logs()


def _source_settings(arguments: argparse.Namespace) -> Any:
    """Return the default config changed by the flags that say how to read a source."""
    return cli.source_settings(config.Config, config.DATA_FIELDS, arguments)


if __name__ == "__main__":
    sys.exit(main())
