"""The command line of the medical imaging app: ``medical-imaging VERB ...``. TensorFlow is imported in the verbs."""

import argparse
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from apps.medical_imaging import config
from shared import cli, errors, files, flags
from shared.bundle import formats
from shared.serving import verb

NAME = "medical-imaging"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the app's command line and return its exit code."""
    parser = cli.app_parser(
        NAME,
        description="Chest X-ray classification: train, measure, explain, export, serve. Not a medical device.",
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
        more=_add_augment,
    )
    return cli.run(parser, argv)


def describe_data(arguments: argparse.Namespace) -> cli.Result:
    """Check a source, split it, and write certificate, parts and, if asked, the images as one folder per class."""
    from apps.medical_imaging import data, prepare

    settings = _source_settings(arguments)
    named = arguments.output_dir or arguments.write
    folder = named or pathlib.Path("runs") / f"{NAME}-data"
    # Without a name it is a look at the data, not a result to keep: the next look replaces it.
    cli.refuse_existing(folder / "split.json", overwrite=arguments.overwrite or not named)
    # The decoder of the network decides what a bad image is, here as in training.
    radiographs = prepare.load_source(settings, quarantine=folder / "quarantine.csv", decodes=_decodes, decode=True)
    if arguments.write:
        data.refuse_to_write_over(radiographs, arguments.write)
    split, certificate = prepare.split_source(radiographs, settings)
    files.write_json(folder / "split.json", certificate)
    table = data.frame(radiographs, split)
    with files.atomic(folder / "split.csv") as temporary:
        table.to_csv(temporary, index=False)
    if arguments.write:
        data.write(radiographs, table, arguments.write)
    return {
        "source": data.describe(radiographs),
        **({"columns": dict(radiographs.columns)} if radiographs.columns else {}),
        "notes": list(radiographs.notes),
        "certificate": str(folder / "split.json"),
        "split": certificate,
    }


def train(arguments: argparse.Namespace) -> cli.Result:
    """Train into a run folder, or go on with an interrupted run."""
    from apps.medical_imaging.readers import sources

    settings = cli.resolve_config(config.Config, arguments)
    for spec in settings.data:
        sources.locate(spec, data_format=settings.data_format)  # before --overwrite deletes anything
    folder = files.RunFolder.create(arguments.run_dir, resume=arguments.resume, overwrite=arguments.overwrite)
    _load_tensorflow()
    from apps.medical_imaging import train as training

    with folder.taken_back_unless_begun():
        return training.train(settings, folder)


def evaluate(arguments: argparse.Namespace) -> cli.Result:
    """Evaluate a run on its own held-out part, or on other data."""
    _refuse_grey_bits(arguments)
    files.RunFolder.open(arguments.run_dir)
    _load_tensorflow()
    from apps.medical_imaging import evaluate_run
    from apps.medical_imaging import run as loaded_run
    from shared.evaluation import part as part_of

    run = loaded_run.open_run(arguments.run_dir)
    output = arguments.output_dir or run.folder.evaluation
    aside = output / "quarantine.csv"
    own, split = evaluate_run.own_data(run, quarantine=None if hasattr(arguments, "data") else aside)
    if hasattr(arguments, "data"):
        settings = _source_settings(arguments)
        part = evaluate_run.other_part(run, own, split, settings, arguments.split or "all", quarantine=aside)
    else:
        part = part_of.of_run(own, split, arguments.split or "test", run.folder)
    result = evaluate_run.evaluate_run(run, own, split, part, seed=arguments.seed, output=output)
    return {
        "metrics": result.metrics["metrics"],
        **{f"baseline {name}": values for name, values in result.metrics["baselines"].items()},
        "report": str(output / "report.html"),
        **_set_aside(part.dataset.quarantined, aside),
    }


def explain(arguments: argparse.Namespace) -> cli.Result:
    """Write the page that shows where in the image the model saw what it answered."""
    files.RunFolder.open(arguments.run_dir)
    _load_tensorflow()
    from apps.medical_imaging import explain as explaining
    from apps.medical_imaging import run as loaded_run

    run = loaded_run.open_run(arguments.run_dir)
    return explaining.explain_file(run, arguments.input, arguments.output, seed=arguments.seed)


def predict(arguments: argparse.Namespace) -> cli.Result:
    """Score images in bounded memory."""
    from shared import batch

    _refuse_grey_bits(arguments)
    batch.check_output(arguments.output, overwrite=arguments.overwrite)
    _load_tensorflow()
    from apps.medical_imaging import predict as predicting

    return predicting.predict(arguments)


def export(arguments: argparse.Namespace) -> cli.Result:
    """Write a checked serving bundle."""
    files.RunFolder.open(arguments.run_dir)
    names = formats.chosen(arguments.format, int8=arguments.int8)
    _load_tensorflow()
    from apps.medical_imaging import evaluate_run
    from apps.medical_imaging import export as exporting
    from apps.medical_imaging import run as loaded_run

    run = loaded_run.open_run(arguments.run_dir)
    own, split = evaluate_run.own_data(run)
    exported = exporting.export_run(run, own, split, arguments.output_dir, engines=names)
    return {"bundle": str(exported.path), "version": exported.version, "parity": dict(exported.parity)}


def monitor(arguments: argparse.Namespace) -> cli.Result:
    """Compare new images with the bundle's reference; exit code 3 on drift."""
    from shared.bundle import reading as bundle

    _refuse_grey_bits(arguments)
    bundle.find(arguments.model_dir)
    _load_tensorflow()
    from apps.medical_imaging import monitor as monitoring
    from apps.medical_imaging import predict as predicting
    from apps.medical_imaging import prepare, preprocessing

    loaded = bundle.load(arguments.model_dir)
    aside = (arguments.output_dir or pathlib.Path("runs") / f"{NAME}-monitor") / "quarantine.csv"
    radiographs = prepare.load_source(
        _source_settings(arguments),
        labelled=False,
        quarantine=aside,
        grey_bits=predicting.grey_bits(loaded),
        decodes=preprocessing.decodes,
    )
    result = monitoring.monitor(loaded, radiographs, output=arguments.output_dir)
    return {**result, "notes": list(radiographs.notes), **_set_aside(radiographs.quarantined, aside)}


def tune(arguments: argparse.Namespace) -> cli.Result:
    """Search hyperparameters on validation data and write the best config file."""
    settings = cli.resolve_config(config.Config, arguments)
    _load_tensorflow()
    from apps.medical_imaging import tune as tuning

    return tuning.tune(settings, trials=arguments.trials, output=arguments.output_dir)


def augment(arguments: argparse.Namespace) -> cli.Result:
    """Train a GAN on the training part of a run and write synthetic images."""
    files.RunFolder.open(arguments.run_dir)
    _load_tensorflow()
    from apps.medical_imaging import evaluate_run
    from apps.medical_imaging import run as loaded_run
    from apps.medical_imaging.synthesis import augment as augmenting

    run = loaded_run.open_run(arguments.run_dir)
    own, split = evaluate_run.own_data(run)
    return augmenting.augment(
        run,
        own,
        split,
        images=arguments.images,
        image_size=arguments.image_size,
        epochs=arguments.epochs,
        output=arguments.output_dir,
        seed=arguments.seed,
    )


def _add_augment(verbs: cli.Verbs) -> None:
    parser = cli.add_verb(verbs, "augment", augment, help="train a GAN on the training part; write synthetic images")
    cli.add_run_dir(parser, NAME)
    parser.add_argument("--output-dir", type=pathlib.Path, required=True, help="new folder of the synthetic images")
    parser.add_argument("--images", type=flags.at_least(2), help="how many (default: as many as the training part)")
    parser.add_argument("--image-size", type=flags.at_least(16), default=64, help="side in pixels (default: 64)")
    parser.add_argument("--epochs", type=flags.at_least(1), default=20, help="passes over the training part")


def _refuse_grey_bits(arguments: argparse.Namespace) -> None:
    """Refuse ``--grey-bits`` where a finished run decides: what a file looks like is part of it."""
    if getattr(arguments, "grey_bits", None) is not None:
        raise errors.InputError(
            "--grey-bits: expected with data, train and tune only; a run keeps the number that it was trained with. "
            f"Received: {arguments.grey_bits}"
        )


def _decodes(encoded: Sequence[bytes]) -> Sequence[bool]:
    """Ask the network's decoder; TensorFlow is imported only where there are encoded files."""
    _load_tensorflow()
    from apps.medical_imaging import preprocessing

    return preprocessing.decodes(encoded)


def _set_aside(images: int, path: pathlib.Path) -> dict[str, str]:
    """Say where the images that were set aside are listed."""
    return {"quarantine": f"{images:,} images are listed in {path}"} if images and path.is_file() else {}


def _load_tensorflow() -> None:
    from shared.training import runtime

    runtime.quiet_logs()


def _source_settings(arguments: argparse.Namespace) -> Any:
    """Return the default config changed by the flags that say how to read a source."""
    return cli.source_settings(config.Config, config.DATA_FIELDS, arguments)


if __name__ == "__main__":
    sys.exit(main())
