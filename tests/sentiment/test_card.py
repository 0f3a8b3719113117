"""The model card says what went into the model."""

import types
from typing import Any

import pytest

from apps.sentiment import config
from shared import files
from tests import helpers

pytestmark = pytest.mark.tensorflow


@pytest.mark.parametrize(("lexicon", "expected"), [(True, "VADER lexicon"), (False, "none")])
def test_the_card_names_the_word_ratings_that_the_model_read(tmp_path: Any, lexicon: bool, expected: str) -> None:
    from apps.sentiment import export

    folder = files.RunFolder(tmp_path)
    environment = {"python": "3", "packages": {}, "devices": [], "seed": 0}
    files.write_json(folder.environment, environment)
    files.write_json(folder.split, helpers.a_certificate())
    files.write_json(folder.decision, {})
    settings = config.Config.smoke().replace({"lexicon": lexicon})
    run = types.SimpleNamespace(folder=folder, settings=settings, model=types.SimpleNamespace(count_params=lambda: 7))
    built = export.build_card(run)  # type: ignore[arg-type]
    ratings = built.details["word ratings"]
    assert isinstance(ratings, str)
    assert expected in ratings
