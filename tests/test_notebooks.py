"""The notebooks of docs/notebooks: kept without outputs, and executed with the small preset."""

import ast
import importlib.util
import json
import pathlib
import re
from typing import Any

import pytest

from tests import helpers

FOLDER = helpers.ROOT / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def read(path: pathlib.Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return content


def code(path: pathlib.Path) -> str:
    return "\n".join("".join(cell["source"]) for cell in read(path)["cells"] if cell["cell_type"] == "code")


def test_every_app_has_a_notebook() -> None:
    assert [path.stem for path in NOTEBOOKS] == helpers.APPS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs_and_counts(path: pathlib.Path) -> None:
    content = read(path)
    cells = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    assert cells
    assert [cell["outputs"] for cell in cells] == [[]] * len(cells)
    assert {cell["execution_count"] for cell in cells} == {None}
    assert set(content["metadata"]) == {"kernelspec", "language_info"}
    assert len({cell["id"] for cell in content["cells"]}) == len(content["cells"])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_a_notebook_imports_and_calls_is_there(path: pathlib.Path) -> None:
    import fieldnets

    tree = ast.parse(code(path))
    modules = [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    modules += [str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert "fieldnets" in modules
    assert [name for name in modules if importlib.util.find_spec(name) is None] == []
    assert set(re.findall(r"\bfieldnets\.([a-zA-Z_]\w*)\(", code(path))) <= set(fieldnets.__all__)


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_executed(path: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    for name, value in helpers.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.reads(path.read_text("utf-8").replace('preset=\\"quick\\"', 'preset=\\"smoke\\"'), as_version=4)
    client = nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    outputs = [each for cell in notebook.cells if cell.cell_type == "code" for each in cell.outputs]
    # Nothing is printed: what is shown are values of cells, and a report is shown as its page.
    assert [each.text for each in outputs if each.output_type == "stream" and each.name == "stdout"] == []
    shown = [each.data.get("text/html", "") for each in outputs if each.output_type == "execute_result"]
    assert any("<iframe sandbox" in each for each in shown)
