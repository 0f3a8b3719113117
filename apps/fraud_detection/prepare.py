"""The first steps that every verb shares: read the source that the settings name. No TensorFlow here."""

import pathlib
import typing

from apps.fraud_detection import config, schema, simulator
from apps.fraud_detection.readers import sources
from apps.fraud_detection.transactions import Transactions
from shared.sources import cells


def load_source(
    settings: config.Config, *, trained_on: schema.Schema | None = None, labelled: bool = True
) -> Transactions:
    """Read the source.

    Args:
        settings: Which source, and how to read it.
        trained_on: Schema of a trained model, which the columns must fit.
        labelled: Whether labels are needed.
    """
    return sources.load(
        settings.data,
        reading=reading(settings),
        schema_path=None if settings.schema is None else pathlib.Path(settings.schema),
        schema=trained_on,
        labelled=labelled,
        normal_weight=settings.normal_weight,
        world=world(settings),
    )


def reading(settings: config.Config) -> sources.Reading:
    """Return what the settings say of how tables are to be read."""
    return sources.Reading(
        data_format=settings.data_format,
        follow_links=settings.follow_links,
        decimal=typing.cast(cells.Decimal, settings.decimal),
        time_format=settings.time_format,
        time=settings.time_column,
        amount=settings.amount_column,
        label=settings.label_column,
        weight=settings.sample_weight_column,
        label_delay_days=settings.label_delay_days,
    )


def world(settings: config.Config) -> simulator.World:
    """Return what ``card-simulator`` simulates."""
    return simulator.World(
        customers=settings.customers,
        terminals=settings.terminals,
        days=settings.days,
        drift_day=settings.drift_day,
        seed=settings.seed,
    )
