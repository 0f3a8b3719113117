"""Keep the entries of requirements.lock that hold for one version of Python: ``pins.py 3.12 <requirements.lock``.

``pip download --python-version`` chooses wheels for another Python, but reads markers as its own does.
"""

import re
import sys

from packaging import markers


def holds(entry: str, version: str) -> bool:
    """Say whether an entry, ``name==1.0 ; marker`` and its hashes, is for a version of Python."""
    marker = entry.partition("\n")[0].rstrip(" \\").partition(" ; ")[2]
    environment = {"python_version": version, "python_full_version": f"{version}.0"}
    return not marker or markers.Marker(marker).evaluate(environment)


def without_marker(entry: str) -> str:
    """Drop the marker: the other Python's pip is not there to read it."""
    return re.sub(r" ; [^\n]*", r" \\", entry, count=1)


if __name__ == "__main__":
    entries = re.split(r"\n(?=[a-z0-9])", sys.stdin.read())[1:]
    print("\n".join(without_marker(entry) for entry in entries if holds(entry, sys.argv[1])))
