"""How many files a reader of an entry point may have to open: a number that grows only by decision, in one file."""

import pathlib
import tomllib

import grimp
import pytest

REACH = tomllib.loads((pathlib.Path(__file__).parent / "reach.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("apps", "shared", cache_dir=None)


def files_reached(graph: grimp.ImportGraph, entry: str) -> int:
    """Count the modules that ``entry`` imports, directly or not, itself and the packages around them included."""
    modules = {entry, *graph.find_upstream_modules(entry)}
    packages = {module.rsplit(".", depth)[0] for module in modules for depth in range(1, module.count(".") + 1)}
    return len(modules | packages - {"apps"})


@pytest.mark.parametrize("entry", sorted(REACH))
def test_an_entry_point_reaches_as_many_files_as_is_written_down(graph: grimp.ImportGraph, entry: str) -> None:
    """Imports inside functions count. Fewer files than written down: write the new number down."""
    assert files_reached(graph, entry) == REACH[entry]


def test_every_app_and_its_training_are_written_down() -> None:
    apps = {path.parent.name for path in (pathlib.Path(__file__).parents[1] / "apps").glob("*/__main__.py")}
    assert {f"apps.{app}.{module}" for app in apps for module in ("__main__", "train")} == set(REACH)
