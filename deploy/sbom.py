"""Print a software bill of materials, CycloneDX 1.6 in JSON, of what ``requirements.lock`` installs.

``python deploy/sbom.py [requirements.lock]``. The lock alone is read: it names every package, version and hash, and
``pip install --require-hashes`` installs nothing else. Equal locks give equal bytes.
"""

import hashlib
import json
import pathlib
import re
import sys
import uuid

ROOT = pathlib.Path(__file__).parent.parent
# A pin, perhaps for some systems only; the hashes follow in lines of their own.
_PIN = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>[^\s;\\]+)(?:\s*;\s*(?P<marker>[^\\]+?))?\s*\\?")
_HASH = re.compile(r"\s+--hash=sha256:([0-9a-f]{64})")


def components(lock: str) -> list[dict[str, object]]:
    """Return the packages of a lock as CycloneDX has them.

    Raises:
        ValueError: A line is neither a pin, a hash nor a comment, or a pin has no hash.
    """
    found: list[dict[str, object]] = []
    hashes: list[dict[str, str]] = []
    for number, line in enumerate(lock.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if (digest := _HASH.match(line)) and found:
            hashes.append({"alg": "SHA-256", "content": digest[1]})
        elif pin := _PIN.fullmatch(line):
            hashes = []
            found.append(_component(pin["name"], pin["version"], pin["marker"], hashes))
        else:
            raise ValueError(f"line {number}: expected a pinned package or a hash. Received: {line!r:.100}")
    bare = [each["name"] for each in found if not each["hashes"]]
    if bare:
        raise ValueError(f"expected a hash of every package. Received: none of {bare[0]}")
    return found


def _component(name: str, version: str, marker: str | None, hashes: list[dict[str, str]]) -> dict[str, object]:
    address = f"pkg:pypi/{name.lower().replace('_', '-')}@{version}"
    properties = [{"name": "fieldnets:marker", "value": marker}] if marker else []
    return {
        **{"type": "library", "bom-ref": f"{address}#{marker}" if marker else address},
        **{"name": name, "version": version, "purl": address, "hashes": hashes},
        **({"properties": properties} if properties else {}),
    }


def document(lock: str, *, version: str) -> dict[str, object]:
    """Return the whole document; its serial number is made of the lock."""
    found = components(lock)
    serial = uuid.UUID(bytes=hashlib.sha256(lock.encode()).digest()[:16], version=4)
    own = f"pkg:pypi/fieldnets@{version}"
    return {
        **{"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": f"urn:uuid:{serial}", "version": 1},
        "metadata": {
            "component": {
                **{"type": "application", "bom-ref": own, "name": "fieldnets", "version": version, "purl": own},
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": found,
    }


def main() -> None:
    """Print the document."""
    lock = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "requirements.lock"
    declared = (ROOT / "pyproject.toml").read_text("utf-8")
    version = re.search(r'^version = "(.+)"$', declared, re.MULTILINE)
    if version is None:
        raise ValueError("pyproject.toml: expected a version. Received: none")
    print(json.dumps(document(lock.read_text("utf-8"), version=version[1]), indent=1))


if __name__ == "__main__":
    main()
