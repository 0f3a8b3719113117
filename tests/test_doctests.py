"""Every example in a docstring is run."""

import doctest
import importlib
import pathlib

import pytest

from tests import helpers

pytestmark = pytest.mark.tensorflow


def modules_with_examples() -> list[str]:
    paths = sorted(path for folder in ("apps", "shared") for path in (helpers.ROOT / folder).rglob("*.py"))
    return [named(path) for path in paths if ">>> " in path.read_text("utf-8")]


def named(path: pathlib.Path) -> str:
    return ".".join(path.relative_to(helpers.ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("name", modules_with_examples())
def test_the_examples_of_a_module_are_true(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted > 0
    assert found.failed == 0
