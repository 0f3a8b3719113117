"""What Python's collector passes over while a server runs is freed all the same when a version is retired."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from shared.serving import versions


class Cycle:
    """Refers to itself, as a loaded SavedModel does: only the collector frees it."""

    def __init__(self) -> None:
        self.own = self


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def test_what_was_loaded_is_passed_over_until_memory_is_freed() -> None:
    loaded = Cycle()
    watched = weakref.ref(loaded)
    versions.spare_collector()
    del loaded
    gc.collect()
    assert watched() is not None
    versions.free_memory()
    assert watched() is None
    assert gc.get_freeze_count() > 0


def test_memory_is_freed_where_the_collector_passes_over_nothing() -> None:
    watched = weakref.ref(Cycle())
    versions.free_memory()
    assert watched() is None
    assert gc.get_freeze_count() == 0
