"""The bill of materials names what the lock installs, each package with its hashes."""

import json
import pathlib
import re
import runpy
import subprocess
import sys
from typing import Any

import pytest

SCRIPT = pathlib.Path(__file__).parent.parent.parent / "deploy" / "sbom.py"
LOCK = SCRIPT.parent.parent / "requirements.lock"


def printed() -> dict[str, Any]:
    said = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=True).stdout
    found: dict[str, Any] = json.loads(said)
    return found


def test_every_pin_of_the_lock_is_a_component_with_all_its_hashes() -> None:
    found, lock = printed(), LOCK.read_text("utf-8")
    pins = re.findall(r"^([\w.-]+)==([^\s;\\]+)", lock, re.MULTILINE)
    assert [(each["name"], each["version"]) for each in found["components"]] == pins
    assert sum(len(each["hashes"]) for each in found["components"]) == lock.count("--hash=sha256:")
    for each in found["components"]:
        assert re.fullmatch(r"pkg:pypi/[a-z0-9.-]+@[\w.+!-]+", each["purl"])
        assert all(re.fullmatch("[0-9a-f]{64}", digest["content"]) for digest in each["hashes"])
    references = [each["bom-ref"] for each in found["components"]]
    assert len(set(references)) == len(references)
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.6")
    assert re.fullmatch(
        r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", found["serialNumber"]
    )


def test_equal_locks_give_equal_bills() -> None:
    assert printed() == printed()


@pytest.mark.parametrize("line", ["numpy>=2", "-e .", "numpy==2.4.6", "numpy @ https://example.org/numpy.whl"])
def test_what_is_not_pinned_by_a_hash_is_refused(line: str) -> None:
    components = runpy.run_path(str(SCRIPT))["components"]
    with pytest.raises(ValueError, match="expected a"):
        components(f"# a lock\n{line}\n")
