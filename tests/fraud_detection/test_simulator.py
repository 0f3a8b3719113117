"""The simulated world follows its description."""

import pathlib

import numpy as np
import pandas as pd
import pytest

from apps.fraud_detection import __main__, simulator


@pytest.fixture(scope="module")
def table(world: simulator.World) -> pd.DataFrame:
    return simulator.simulate(world)


def test_same_seed_same_transactions_and_another_seed_others(world: simulator.World, table: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(simulator.simulate(world), table)
    other = simulator.simulate(simulator.World(customers=400, terminals=800, days=60, seed=4))
    assert len(other) != len(table)


def test_days_come_one_by_one_and_are_the_whole(world: simulator.World, table: pd.DataFrame) -> None:
    days = list(simulator.days(world))
    assert len(days) == 60
    pd.testing.assert_frame_equal(pd.concat(days, ignore_index=True), table)
    dates = [day["TX_DATETIME"].dt.normalize().unique() for day in days]
    assert [str(each[0])[:10] for each in dates[:2]] == ["2018-04-01", "2018-04-02"]
    assert all(len(each) == 1 for each in dates)


def test_a_world_streamed_to_a_file_is_the_same(
    world: simulator.World, table: pd.DataFrame, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulator.write(world, tmp_path / "a.parquet") == len(table)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "a.parquet"), table, check_dtype=False)
    flags = ("--customers", "400", "--terminals", "800", "--days", "60", "--seed", "3", "--json")
    assert __main__.main(["simulate", "--output", str(tmp_path / "b.parquet"), *flags]) == 0
    assert f'"rows": {len(table)}' in capsys.readouterr().out
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "b.parquet"), table, check_dtype=False)
    assert __main__.main(["simulate", "--output", str(tmp_path / "b.parquet"), *flags]) == 2


def test_a_longer_world_begins_with_the_shorter_one(table: pd.DataFrame) -> None:
    longer = simulator.simulate(simulator.World(customers=400, terminals=800, days=61, seed=3))
    pd.testing.assert_frame_equal(longer.iloc[: len(table)], table)


def test_transactions_are_in_order_of_time_and_numbered(table: pd.DataFrame) -> None:
    assert table["TX_DATETIME"].is_monotonic_increasing
    assert table["TRANSACTION_ID"].tolist() == list(range(len(table)))
    assert (table["TX_AMOUNT"] >= 0).all()
    assert (table["TX_AMOUNT"] == table["TX_AMOUNT"].round(2)).all()


def test_everybody_pays_within_the_radius(world: simulator.World, table: pd.DataFrame) -> None:
    people = world.people
    for customer in range(0, 400, 40):
        reachable = set(people.reachable[people.first[customer] : people.first[customer + 1]].tolist())
        assert set(table.loc[table["CUSTOMER_ID"] == customer, "TERMINAL_ID"]) <= reachable


def test_someone_without_a_terminal_nearby_uses_the_nearest() -> None:
    lonely = simulator.World(customers=50, terminals=3, days=2, radius=1.0)
    assert np.diff(lonely.people.first).min() == 1
    assert len(simulator.simulate(lonely)) > 0


def test_large_amounts_are_frauds_and_nothing_else_is_without_a_scenario(table: pd.DataFrame) -> None:
    assert (table.loc[table["TX_AMOUNT"] > simulator.LARGE_AMOUNT, "TX_FRAUD"] == 1).all()
    assert ((table["TX_FRAUD_SCENARIO"] > 0) == (table["TX_FRAUD"] == 1)).all()


def test_a_compromised_terminal_is_fraud_for_28_days_and_then_no_more() -> None:
    table = simulator.simulate(simulator.World(customers=400, terminals=800, days=60, seed=3))
    day = (table["TX_DATETIME"] - pd.Timestamp("2018-04-01")).dt.days.to_numpy()
    first = next(each for each in range(60) if simulator._count(simulator.TERMINALS_PER_DAY * 800, each))
    (terminal,) = np.random.default_rng([3, 3, first]).choice(800, 1)
    own = (table["TERMINAL_ID"] == terminal).to_numpy()
    inside = own & (day >= first) & (day < first + 28)
    assert inside.any()
    assert (table.loc[inside, "TX_FRAUD"] == 1).all()
    assert (table.loc[own & (day >= first + 28), "TX_FRAUD_SCENARIO"] != 2).all()


def test_stolen_cards_pay_five_times_as_much_in_a_third_of_their_transactions() -> None:
    world = simulator.World(customers=2_000, terminals=500, days=40, seed=1)
    table = simulator.simulate(world)
    stolen = table[table["TX_FRAUD_SCENARIO"] == 3]
    usual = world.people.mean_amount[stolen["CUSTOMER_ID"]]
    assert (stolen["TX_AMOUNT"] / usual).mean() == pytest.approx(5, rel=0.15)


def test_the_share_of_fraud_is_the_published_one_whatever_the_size() -> None:
    for customers in (1_500, 3_000):
        world = simulator.World(customers=customers, terminals=2 * customers, days=120, seed=0)
        table = simulator.simulate(world)
        late = table[table["TX_DATETIME"] >= "2018-05-01"]
        assert late["TX_FRAUD"].mean() == pytest.approx(0.0086, rel=0.25)


def test_drift_brings_card_testing_from_its_day_on_only() -> None:
    world = simulator.World(customers=1_000, terminals=500, days=20, drift_day=12, seed=0)
    table = simulator.simulate(world)
    tests = table[table["TX_FRAUD_SCENARIO"] == 4]
    assert tests["TX_DATETIME"].min() >= pd.Timestamp("2018-04-13")
    assert tests["TX_AMOUNT"].max() <= simulator.TEST_AMOUNT
    assert len(tests) > 0


@pytest.mark.slow
def test_the_default_world_has_the_published_counts() -> None:
    table = simulator.simulate(simulator.World())
    assert len(table) == pytest.approx(1_754_155, rel=0.05)
    assert table["TX_FRAUD"].sum() == pytest.approx(14_681, rel=0.1)
    shares = table["TX_FRAUD_SCENARIO"].value_counts()
    assert shares[2] > shares[3] > shares[1]
