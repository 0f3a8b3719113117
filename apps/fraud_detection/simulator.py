"""Card transactions with three kinds of fraud, day by day, from a seed: the default source ``card-simulator``.

Written from the public description in *Reproducible Machine Learning for Credit Card Fraud Detection* (Le Borgne,
Siblini, Lebichot, Bontempi 2022, chapter "Transaction data simulator"): customers and terminals on a 100 x 100 plane,
a customer pays at terminals within a radius, a Poisson number of times a day, normal amounts, around noon. Every
day is drawn from its own stream of random numbers, so that any number of days needs the memory of one. No
TensorFlow here.
"""

import dataclasses
import functools
import math
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow
import pyarrow.parquet
import scipy.spatial

from shared import files

DAY_SECONDS = 86_400
# Noon and its spread, in seconds: nearly all transactions fall between 5:00 and 19:00.
NOON, SPREAD = DAY_SECONDS / 2, 20_000.0

LARGE_AMOUNT = 220.0
# Two of 10,000 terminals and three of 5,000 customers a day; as many for their number in other worlds.
TERMINALS_PER_DAY, TERMINAL_DAYS = 2 / 10_000, 28
CUSTOMERS_PER_DAY, CUSTOMER_DAYS = 3 / 5_000, 14
STOLEN_SHARE, STOLEN_FACTOR = 1 / 3, 5.0
# The scenario of a drift: stolen card numbers are tried out with small sums, in bursts, at any terminal.
TESTED_CARDS_PER_DAY, TESTS_PER_CARD, TEST_AMOUNT = 3 / 5_000, 6, 4.0

COLUMNS = (
    "TRANSACTION_ID",
    "TX_DATETIME",
    "CUSTOMER_ID",
    "TERMINAL_ID",
    "TX_AMOUNT",
    "TX_FRAUD",
    "TX_FRAUD_SCENARIO",
    "CUSTOMER_REGION",
)
SCENARIOS = ("none", "large amount", "compromised terminal", "stolen card", "card testing")
REGIONS = ("south-west", "south-east", "north-west", "north-east")

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True, kw_only=True)
class World:
    """What to simulate.

    Attributes:
        customers: Number of cards.
        terminals: Number of terminals.
        days: Number of days.
        start: First day, as ``YYYY-MM-DD``.
        radius: How far from home a customer pays; the plane is 100 x 100.
        drift_day: Day, from 0, on which card testing begins; None: never.
        seed: Same seed, same transactions.
    """

    customers: int = 5_000
    terminals: int = 10_000
    days: int = 183
    start: str = "2018-04-01"
    radius: float = 5.0
    drift_day: int | None = None
    seed: int = 0

    @functools.cached_property
    def people(self) -> "People":
        """The customers, the same for every day."""
        return People.draw(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class People:
    """Customers and the terminals they use.

    Attributes:
        mean_amount: (customers,) in EUR; the standard deviation is half of it.
        daily_rate: (customers,) mean transactions per day.
        region: (customers,) int64 into ``REGIONS``.
        reachable: (sum,) int64 terminals, customer after customer.
        first: (customers + 1,) int64 where each customer's terminals begin.
    """

    mean_amount: Floats
    daily_rate: Floats
    region: Ints
    reachable: Ints
    first: Ints

    @staticmethod
    def draw(world: World) -> "People":
        """Draw homes, habits and terminals; whoever has no terminal within the radius uses the nearest one."""
        rng = np.random.default_rng([world.seed, 0])
        homes = rng.uniform(0, 100, (world.customers, 2))
        tree = scipy.spatial.cKDTree(rng.uniform(0, 100, (world.terminals, 2)))
        near: Any = tree.query_ball_point(homes, world.radius, return_sorted=True)
        nearest = np.asarray(tree.query(homes)[1])
        lists = [list(found) or [int(nearest[customer])] for customer, found in enumerate(near)]
        return People(
            mean_amount=rng.uniform(5, 100, world.customers),
            daily_rate=rng.uniform(0, 4, world.customers),
            region=(homes[:, 0] >= 50).astype(np.int64) + 2 * (homes[:, 1] >= 50),
            reachable=np.concatenate(lists).astype(np.int64),
            first=np.concatenate([[0], np.cumsum([len(found) for found in lists])]).astype(np.int64),
        )


def simulate(world: World) -> pd.DataFrame:
    """Return every transaction, in order of time, with the columns ``COLUMNS``.

    ``TX_DATETIME`` is datetime64[s], ``TX_AMOUNT`` EUR with two decimals, ``TX_FRAUD`` 0 or 1, ``TX_FRAUD_SCENARIO``
    0 to 4 (see ``SCENARIOS``), ``CUSTOMER_REGION`` the quarter of the plane in which the customer lives.
    """
    return pd.concat(list(days(world)), ignore_index=True)


def days(world: World) -> Iterator[pd.DataFrame]:
    """Yield the transactions of one day after another: bounded memory for any number of days."""
    number = 0
    for day in range(world.days):
        table = _day(world, day, first_id=number)
        number += len(table)
        yield table


def write(world: World, path: pathlib.Path, *, on_rows: Callable[[int], None] = lambda _rows: None) -> int:
    """Stream a world to a Parquet file, day by day, and return the number of transactions.

    Args:
        world: What to simulate.
        path: Of the file; it appears when it is whole.
        on_rows: Called with the number of rows after each day.
    """
    rows = 0
    schema = pyarrow.Schema.from_pandas(_day(world, 0, first_id=0), preserve_index=False)
    with files.atomic(path) as temporary, pyarrow.parquet.ParquetWriter(temporary, schema) as writer:
        for table in days(world):
            writer.write_table(pyarrow.Table.from_pandas(table, schema=schema, preserve_index=False))
            rows += len(table)
            on_rows(len(table))
    return rows


def _day(world: World, day: int, *, first_id: int) -> pd.DataFrame:
    people, rng = world.people, np.random.default_rng([world.seed, 1, day])
    customer = np.repeat(np.arange(world.customers), rng.poisson(people.daily_rate))
    second = np.rint(rng.normal(NOON, SPREAD, len(customer))).astype(np.int64)
    inside = (second >= 0) & (second < DAY_SECONDS)
    customer, second = customer[inside], second[inside]
    mean = people.mean_amount[customer]
    amount = rng.normal(mean, mean / 2)
    amount = np.where(amount < 0, rng.uniform(0, 2 * mean), amount)
    options = people.first[customer + 1] - people.first[customer]
    terminal = people.reachable[people.first[customer] + rng.integers(0, options)]
    scenario = np.zeros(len(customer), np.int64)

    stolen = np.isin(customer, _chosen(world, day, "customers")) & (rng.random(len(customer)) < STOLEN_SHARE)
    scenario[np.round(amount, 2) > LARGE_AMOUNT] = 1
    scenario[np.isin(terminal, _chosen(world, day, "terminals"))] = 2
    amount = np.where(stolen, amount * STOLEN_FACTOR, amount)
    scenario[stolen] = 3
    if world.drift_day is not None and day >= world.drift_day:
        cards = _count(TESTED_CARDS_PER_DAY * world.customers, day)
        tested = np.repeat(rng.integers(0, world.customers, cards), TESTS_PER_CARD)
        begins = np.repeat(rng.integers(0, DAY_SECONDS - 1_800, cards), TESTS_PER_CARD)
        customer = np.concatenate([customer, tested])
        second = np.concatenate([second, begins + rng.integers(0, 1_800, len(tested))])
        amount = np.concatenate([amount, rng.uniform(0.5, TEST_AMOUNT, len(tested))])
        terminal = np.concatenate([terminal, rng.integers(0, world.terminals, len(tested))])
        scenario = np.concatenate([scenario, np.full(len(tested), 4)])

    order = np.argsort(second, kind="stable")
    midnight = np.datetime64(world.start, "s") + np.timedelta64(day * DAY_SECONDS, "s")
    return pd.DataFrame(
        {
            "TRANSACTION_ID": first_id + np.arange(len(order)),
            "TX_DATETIME": midnight + second[order].astype("timedelta64[s]"),
            "CUSTOMER_ID": customer[order],
            "TERMINAL_ID": terminal[order],
            "TX_AMOUNT": np.round(amount[order], 2),
            "TX_FRAUD": (scenario[order] > 0).astype(np.int64),
            "TX_FRAUD_SCENARIO": scenario[order],
            "CUSTOMER_REGION": np.array(REGIONS, object)[people.region[customer[order]]],
        }
    )


def _chosen(world: World, day: int, what: str) -> Ints:
    """Return the customers or terminals that were compromised within their last weeks and still are on ``day``."""
    size, share, lasting, stream = {
        "customers": (world.customers, CUSTOMERS_PER_DAY, CUSTOMER_DAYS, 2),
        "terminals": (world.terminals, TERMINALS_PER_DAY, TERMINAL_DAYS, 3),
    }[what]
    draws = [
        np.random.default_rng([world.seed, stream, each]).choice(size, _count(share * size, each), replace=False)
        for each in range(max(0, day - lasting + 1), day + 1)
    ]
    return np.unique(np.concatenate(draws))


def _count(per_day: float, day: int) -> int:
    """Return a whole number for ``day`` so that the mean over days is ``per_day``.

    >>> [_count(0.5, day) for day in range(4)], _count(2.0, 7)
    ([0, 1, 0, 1], 2)
    """
    return math.floor((day + 1) * per_day + 1e-9) - math.floor(day * per_day + 1e-9)
