"""What a verb used of the machine: seconds, processor time and peak memory; and whether a run is for use at all."""

import dataclasses
import resource
import sys
import time
from collections.abc import Mapping
from typing import Any

from shared import files

SMOKE = "smoke: not for use"
SMOKE_SENTENCE = (
    "A smoke run sees a handful of rows for a few seconds, to test the program: its predictions mean nothing."
)


@dataclasses.dataclass(frozen=True)
class Start:
    """When the work began, by the wall clock and by this process's processor time, both in seconds."""

    wall: float = dataclasses.field(default_factory=time.perf_counter)
    processor: float = dataclasses.field(default_factory=time.process_time)

    def used(self) -> dict[str, float]:
        """Return seconds, processor_seconds (of all cores together) and peak_memory_bytes of this process so far."""
        return {
            "seconds": round(time.perf_counter() - self.wall, 3),
            "processor_seconds": round(time.process_time() - self.processor, 3),
            "peak_memory_bytes": peak_memory_bytes(),
        }


def peak_memory_bytes() -> int:
    """Return the most memory that this process has held; getrusage counts in KiB, on macOS in bytes."""
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else found * 1024


def of_training(run: files.RunFolder) -> Mapping[str, Any]:
    """Return what training used, and what its time limit cut; nothing for a run of before that was kept."""
    if not run.usage.exists():
        return {}
    plan = files.read_json(run.time_limit) if run.time_limit.exists() else {}
    limited = {"time_limit_seconds": plan["limit_seconds"], "cut": plan["cut"]} if "cut" in plan else {}
    return {**limited, **files.read_json(run.usage)}


def is_smoke(run: files.RunFolder) -> bool:
    """Return whether a run was trained with the preset ``smoke``, or with settings next to it."""
    return run.environment.exists() and files.read_json(run.environment).get("smoke") is True
