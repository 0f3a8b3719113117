"""A small simulated town and its transactions."""

import numpy as np
import pytest

from apps.fraud_detection import data, simulator, transactions
from apps.fraud_detection.config import Config


@pytest.fixture(scope="session")
def town() -> Config:
    return Config.smoke().replace({"customers": 120, "terminals": 240, "days": 80})


@pytest.fixture(scope="session")
def booked(town: Config) -> transactions.Transactions:
    return data.load(town)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def world() -> simulator.World:
    return simulator.World(customers=400, terminals=800, days=60, seed=3)
