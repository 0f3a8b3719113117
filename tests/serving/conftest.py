"""Recorded answers in place of a server."""

from collections.abc import Iterator

import pytest

from tests.serving import fake


@pytest.fixture(scope="session")
def server() -> Iterator[fake.Server]:
    with fake.serving() as started:
        yield started
