"""Files of every format, mutated: each is read, or is one clear error, and nothing is half written."""

import json
import pathlib

import pytest

from tests import helpers
from tests.faults import children, seeds, trials

# One child for so many tries: what a parser does to its own process then costs these only.
TOGETHER = 100
QUICK = [name for name, seed in seeds.SEEDS.items() if seed.app in ("sentiment", "fraud_detection")]


def check(name: str, folder: pathlib.Path, zygote: children.Zygote, tried: trials.Trials, number: int) -> None:
    """Try ``number`` mutations of a source."""
    for first in range(0, number, TOGETHER):
        count = min(TOGETHER, number - first)
        place = folder / str(first)
        place.mkdir()
        words = ["tests.faults.hostile_inputs", name, str(place), count, first]
        ended = zygote.run(words, place, function="try_many", environment=helpers.ENVIRONMENT)
        told = json.loads(ended.stdout.splitlines()[-1]) if ended.code == 0 else {}
        tried.number += count
        tried.failures += told.get("failures", [f"{name} from {first}: exit code {ended.code}: {ended.stderr[-2000:]}"])


@pytest.mark.fault("hostile input")
@pytest.mark.parametrize("name", QUICK)
def test_a_mutated_source_is_read_or_is_one_error(
    name: str, tmp_path: pathlib.Path, plain: children.Zygote, tried: trials.Trials
) -> None:
    check(name, tmp_path, plain, tried, trials.count(4, 250))


@pytest.mark.fault("hostile input")
@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in seeds.SEEDS if name not in QUICK])
def test_a_mutated_source_of_images_is_read_or_is_one_error(
    name: str, tmp_path: pathlib.Path, heavy: children.Zygote, tried: trials.Trials
) -> None:
    check(name, tmp_path, heavy, tried, trials.count(10, 100))
