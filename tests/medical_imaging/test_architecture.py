"""What the app's modules may reach: the network without TensorFlow, training without reports, no circles."""

import ast
import functools
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[2]
APP = "apps.medical_imaging"


def path_of(module: str) -> pathlib.Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@functools.cache
def imports(module: str) -> frozenset[str]:
    """Every module that a module imports, inside functions, too; of packages from elsewhere the first name."""
    found = set()
    for node in ast.walk(ast.parse(path_of(module).read_text("utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names] + [node.module]
        for name in names:
            own = name.split(".")[0] in ("apps", "shared")
            if not own:
                found.add(name.split(".")[0])
            elif path_of(name).exists():
                found.add(name)
    return frozenset(found - {module})


def reached(start: str) -> set[str]:
    seen: set[str] = set()
    todo = [start]
    while todo:
        module = todo.pop()
        if module not in seen:
            seen.add(module)
            todo += [name for name in imports(module) if name.split(".")[0] in ("apps", "shared")]
    return seen


@pytest.mark.parametrize("module", ["model", "decision", "evaluate", "report", "dataset", "readers.sources"])
def test_tensorflow_is_not_needed_to_build_the_network_to_decide_or_to_report(module: str) -> None:
    needing = {name for name in reached(f"{APP}.{module}") if "tensorflow" in imports(name)}
    assert needing == set()


def test_training_reaches_no_report_no_explanation_and_no_serving() -> None:
    found = reached(f"{APP}.train")
    folders = ("shared.report", "shared.explain", "shared.serving", "shared.bundle")
    assert [name for name in found if name.startswith(folders)] == []
    assert not {f"{APP}.{name}" for name in ("evaluate", "report", "explain", "graph", "run", "export")} & found


def test_no_module_of_the_app_is_reached_from_what_it_imports() -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / "apps" / "medical_imaging").rglob("*.py")
    ]
    circular = {
        name: other
        for name in modules
        for other in imports(name)
        if other.startswith(f"{APP}.") and name in reached(other)
    }
    assert circular == {}


def test_no_folder_of_the_app_imports_a_module_beside_it_that_imports_the_folder() -> None:
    def sibling(name: str) -> str:
        return name.removeprefix(f"{APP}.").split(".")[0]

    arrows = {
        (sibling(name), sibling(other))
        for name in reached(f"{APP}.__main__")
        for other in imports(name)
        if name.startswith(f"{APP}.") and other.startswith(f"{APP}.") and sibling(name) != sibling(other)
    }
    reaching: dict[str, set[str]] = {}
    for start in {first for first, _ in arrows}:
        todo = [start]
        seen: set[str] = set()
        while todo:
            here = todo.pop()
            following = {second for first, second in arrows if first == here}
            todo += following - seen
            seen |= following
        reaching[start] = seen
    assert [name for name, others in reaching.items() if name in others] == []
