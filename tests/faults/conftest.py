"""Children that come to harm, and the count of what was tried."""

from collections.abc import Iterator

import pytest

from tests.faults import children, trials


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[children.Zygote]:
    """Starts children that have imported all but TensorFlow."""
    zygote = children.Zygote(tmp_path_factory.mktemp("plain"))
    yield zygote
    zygote.close()


@pytest.fixture(scope="session")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[children.Zygote]:
    """Starts children that have imported TensorFlow."""
    zygote = children.Zygote(tmp_path_factory.mktemp("heavy"), tensorflow=True)
    yield zygote
    zygote.close()


@pytest.fixture
def tried(request: pytest.FixtureRequest) -> Iterator[trials.Trials]:
    """Counts the trials of a test, whose mark ``fault`` says of which fault."""
    mark = request.node.get_closest_marker("fault")
    counted = trials.Trials(mark.args[0], request.node.name)
    yield counted
    counted.end()
