"""The command line of the driving app: ``driving-perception VERB ...``; what each verb does is in ``shared.verbs``."""

import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from apps.driving_perception import config
from shared import cli, verbs


def main(argv: Sequence[str] | None = None) -> int:
    """Run the app's command line and return its exit code."""
    return verbs.main(APP, argv)


def data() -> verbs.Data:
    """Return the steps of ``data``."""
    from apps.driving_perception import data

    return verbs.Data(
        locate=data.locate,
        load=data.load,
        split=data.split,
        describe=data.describe,
        table=data.frame,
        write=lambda images, table, options: data.write(
            images, table, options.write, write_format=options.settings.write_format
        ),
    )


def train() -> Any:
    """Return the training."""
    from apps.driving_perception import train

    return train.train


def evaluate() -> verbs.Evaluate:
    """Return the steps of ``evaluate``."""
    from apps.driving_perception import evaluate_run, run

    return verbs.Evaluate(
        open_run=run.open_run,
        own_data=evaluate_run.own_data,
        other_part=evaluate_run.other_part,
        evaluate=evaluate_run.evaluate_run,
    )


def explain() -> verbs.Explain:
    """Return the steps of ``explain``: what each box was seen by, and what was seen near what was missed."""
    from apps.driving_perception import explain, run

    return verbs.Explain(open_run=run.open_run, explain=explain.explain_file, options=explain.Options)


def predict() -> verbs.Predict:
    """Return the steps of ``predict``."""
    from apps.driving_perception import predict

    return verbs.Predict(predict=predict.predict, options=predict.Options)


def export() -> verbs.Export:
    """Return the steps of ``export``."""
    from apps.driving_perception import evaluate_run, export, run

    return verbs.Export(open_run=run.open_run, own_data=evaluate_run.own_data, export=export.export_run)


def monitor() -> verbs.Monitor:
    """Return the steps of ``monitor``."""
    from apps.driving_perception import data, monitor

    def load(settings: config.Config, _bundle: Any, **quarantine: Any) -> Any:
        return data.load(settings, labelled=False, **quarantine)

    return verbs.Monitor(load=load, describe=data.describe, monitor=monitor.monitor)


def tune() -> verbs.Tune:
    """Return the steps of ``tune``."""
    from apps.driving_perception import train, tune

    return verbs.Tune(train=train.train, metric="map_50", suggest=tune.suggest)


def add_options(given: cli.Verbs) -> None:
    """Add what only this app's ``explain`` and ``predict`` have."""
    given.choices["explain"].add_argument(
        "--missed",
        type=float,
        nargs=4,
        metavar=("LEFT", "TOP", "RIGHT", "BOTTOM"),
        help="also say why the object in this box was missed [pixels]",
    )
    predicting = given.choices["predict"]
    predicting.add_argument(
        "--frames-per-second", type=float, help="the images of each folder are the frames of a clip, at this rate"
    )
    for flag, metavar, help in (
        ("--annotated", "DIR", "also write pictures and videos with their boxes"),
        ("--coco", "FILE", "also write the boxes as COCO results (.json)"),
        ("--boxes", "FILE", "also write a table with a row for each box (.csv)"),
    ):
        predicting.add_argument(flag, type=pathlib.Path, metavar=metavar, help=help)


APP = verbs.App(
    name="driving-perception",
    description="Obstacle detection on the road: train, measure, explain, export, serve. Not a safety component.",
    config=config.Config,
    data_fields=config.DATA_FIELDS,
    data=data,
    train=train,
    evaluate=evaluate,
    explain=explain,
    predict=predict,
    export=export,
    monitor=monitor,
    tune=tune,
    more=add_options,
)

if __name__ == "__main__":
    sys.exit(main())
