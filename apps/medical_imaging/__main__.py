"""The command line of the medical app: ``medical-imaging VERB ...``; what each verb does is in ``shared.verbs``."""

import argparse
import functools
import pathlib
import sys
from collections.abc import Sequence

from apps.medical_imaging import config
from shared import cli, errors, files, steps, verbs


def main(argv: Sequence[str] | None = None) -> int:
    """Run the app's command line and return its exit code."""
    return verbs.main(APP, argv)


def data() -> steps.Data:
    """Return the steps of ``data``; the decoder of the network decides what a bad image is, here as in training."""
    from apps.medical_imaging import data, inspect_data

    return steps.Data(
        inspect=inspect_data.inspected,
        locate=data.locate,
        load=functools.partial(data.load, decodes=_decodes, decode=True),
        split=data.split,
        describe=data.describe,
        more=lambda images, _folder, options, _into: data.refuse_to_write_over(images, options.write),
        table=data.frame,
        write=lambda images, table, options: data.write(images, table, options.write),
    )


def run() -> steps.Run:
    """Return what the verbs need that start from a finished run."""
    from apps.medical_imaging import run

    return steps.Run(open_run=run.open_run, own_data=run.own_data, other_part=run.other_part)


def train() -> steps.Train:
    """Return the steps of ``train``."""
    from apps.medical_imaging import data, train

    return steps.Train(
        load=functools.partial(data.load, decodes=_decodes),
        describe=data.describe,
        split=data.split,
        train=train.train,
    )


def evaluate() -> steps.Evaluate:
    """Return the steps of ``evaluate``."""
    from apps.medical_imaging import evaluate_run

    return steps.Evaluate(
        evaluate=evaluate_run.evaluate_run, rows=evaluate_run.rows_to_score, given=evaluate_run.evaluate_given
    )


def explain() -> steps.Explain:
    """Return the steps of ``explain``: where in the image the model saw what it answers."""
    from apps.medical_imaging import explain

    return steps.Explain(explain=explain.explain_file)


def predict() -> steps.Predict:
    """Return the steps of ``predict``."""
    from apps.medical_imaging import predict

    return steps.Predict(predict=predict.predict)


def export() -> steps.Export:
    """Return the steps of ``export``."""
    from apps.medical_imaging import export

    return steps.Export(export=export.export_run)


def monitor() -> steps.Monitor:
    """Return the steps of ``monitor``."""
    from apps.medical_imaging import data, monitor

    return steps.Monitor(load=monitor.load, describe=data.describe, monitor=monitor.monitor)


def reader() -> object:
    """Return what reads DICOM for a served page."""
    from apps.medical_imaging import predict
    from shared.serving import foreign

    return foreign.Reader(kind="dicom", read=predict.dicom_image)


def tune() -> steps.Tune:
    """Return the steps of ``tune``."""
    return steps.Tune(metric="auroc", suggest=config.suggest)


def augment(arguments: argparse.Namespace) -> cli.Result:
    """Train a GAN on the training part of a run and write synthetic images."""
    files.RunFolder.open(arguments.run_dir)
    verbs.quiet_tensorflow()
    from apps.medical_imaging import run as loaded_run
    from apps.medical_imaging.synthesis import augment as augmenting

    run = loaded_run.open_run(arguments.run_dir)
    own, split = loaded_run.own_data(run)
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


def add_augment(given: cli.Verbs) -> None:
    """Add the verb that only this app has."""
    parser = cli.add_verb(given, "augment", augment, help="train a GAN on the training part; write synthetic images")
    cli.add_run_dir(parser, APP.name)
    parser.add_argument("--output-dir", type=pathlib.Path, required=True, help="new folder of the synthetic images")
    parser.add_argument("--images", type=cli.at_least(2), help="how many (default: as many as the training part)")
    parser.add_argument("--image-size", type=cli.at_least(16), default=64, help="side in pixels (default: 64)")
    parser.add_argument("--epochs", type=cli.at_least(1), default=20, help="passes over the training part")
    given.choices["augment"].examples = (
        f"{APP.name} augment --output-dir synthetic",
        f"{APP.name} augment --run-dir runs/mine --output-dir synthetic --images 500 --image-size 96",
    )


def refuse_grey_bits(settings: config.Config) -> None:
    """Refuse ``--grey-bits`` where a finished run decides: what a file looks like is part of it."""
    if settings.grey_bits is not None:
        raise errors.InputError(
            "--grey-bits: expected with data, train and tune only; a run keeps the number that it was trained with. "
            f"Received: {settings.grey_bits}"
        )


def _decodes(encoded: Sequence[bytes]) -> Sequence[bool]:
    """Ask the network's decoder; TensorFlow is imported only where there are encoded files."""
    verbs.quiet_tensorflow()
    from apps.medical_imaging import preprocessing

    return preprocessing.decodes(encoded)


APP = steps.App(
    name="medical-imaging",
    config=config.Config,
    description="Chest X-ray classification: train, measure, explain, export, serve. Not a medical device.",
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
    reader=reader,
    more=add_augment,
    refuse=refuse_grey_bits,
)

if __name__ == "__main__":
    sys.exit(main())
