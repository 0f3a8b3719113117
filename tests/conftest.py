"""What all tests share: deterministic property tests, quiet logs, and the real command line."""

import os
import pathlib

import hypothesis
import pytest

from tests import helpers

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Derandomised: a property that holds today holds tomorrow. No deadline: this machine may be busy.
hypothesis.settings.register_profile(
    "fieldnets",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=50,
    # tmp_path is made once for all examples of a property; files in it are replaced by each.
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("fieldnets")


def pytest_ignore_collect(collection_path: pathlib.Path, config: pytest.Config) -> bool | None:
    """Spare `make check` the import of TensorFlow (5 seconds): a file marked as a whole is not even read."""
    if collection_path.suffix != ".py" or "not tensorflow" not in config.option.markexpr:
        return None
    return "\npytestmark = pytest.mark.tensorflow\n" in collection_path.read_text("utf-8") or None


@pytest.fixture(scope="session")
def root() -> pathlib.Path:
    return helpers.ROOT


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """The environment of a child process that finds this checkout from any folder."""
    return helpers.ENVIRONMENT


@pytest.fixture(scope="module")
def command_line(tmp_path_factory: pytest.TempPathFactory) -> helpers.CommandLine:
    """The real command line, in an empty folder."""
    return helpers.CommandLine(tmp_path_factory.mktemp("command_line"))
