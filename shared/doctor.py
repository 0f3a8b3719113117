"""Look at this machine and this installation: what works, what is slow, what is missing, and what to do.

Each ``check_*`` assesses facts that it is given, so that every finding can be tested anywhere; ``examine``
gathers the facts. Where TensorFlow cannot be imported, that is a finding too.
"""

import dataclasses
import functools
import os
import pathlib
import platform
import re
import shutil
import sys
import typing
from collections.abc import Callable, Collection, Mapping, Sequence

import psutil

from shared import machine

State = typing.Literal["ok", "note", "problem"]

ROOT = pathlib.Path(__file__).parent.parent
PACKAGES = ("tensorflow", "keras", "numpy", "pandas", "scikit-learn", "scipy", "pyarrow", "protobuf")
# Top-level module -> what needs it.
FEATURES = {
    "fastapi": "serve",
    "jinja2": "reports",
    "matplotlib": "figures of reports",
    "optuna": "tune",
    "pyarrow": "predict and Parquet files",
    "rich": "tables and progress bars",
    "tensorboard": "training logs",
    "tensorflow_serving": "warm-up requests in bundles",
    "uvicorn": "serve",
}
MINIMUM_MEMORY_GIB = 4
MINIMUM_DISK_GIB = 5
_ONEDNN_FLAGS = {"avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16"}
_GIB = 2**30


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing looked at.

    Attributes:
        name: What was looked at.
        state: ``ok``; ``note``, it works but could be better; ``problem``, something does not work.
        detail: What was found.
        remedy: What to do; empty where there is nothing to do.
    """

    name: str
    state: State
    detail: str
    remedy: str = ""


def examine() -> list[Finding]:
    """Look at everything. Takes some ten seconds, most of it TensorFlow's import; changes no file."""
    checks: dict[str, Callable[[], Finding]] = {
        "Python": lambda: check_python(sys.version_info[:2]),
        "packages": lambda: check_packages(machine.installed(PACKAGES), read_lock(ROOT / "requirements.lock")),
        "features": lambda: check_features(machine.missing(FEATURES)),
        "git": lambda: check_git(shutil.which("git")),
        "cores": lambda: check_cores(machine.usable_cores()),
        "memory": lambda: check_memory(psutil.virtual_memory().available, machine.memory_limit()),
        "disk": lambda: check_disk(shutil.disk_usage(pathlib.Path.cwd()).free),
        "oneDNN": lambda: check_onednn(
            os.environ.get("TF_ENABLE_ONEDNN_OPTS"), platform.machine(), machine.processor_flags()
        ),
        "devices": lambda: check_devices(machine.driver_gpus("name"), machine.tensorflow_gpus()),
        "precision": lambda: check_precision(machine.driver_gpus("compute_cap"), machine.processor_flags()),
        "determinism": _probe_determinism,
        "input pipeline": _probe_input,
    }
    return [_guarded(name, check) for name, check in checks.items()]


def check_python(version: Sequence[int]) -> Finding:
    """Compare the Python version with those that the lock was resolved for."""
    finding = functools.partial(Finding, name="Python", detail=".".join(map(str, version)))
    if (3, 11) <= tuple(version) <= (3, 13):
        return finding(state="ok")
    return finding(state="note", remedy="use Python 3.11, 3.12 or 3.13: the lock was resolved for these")


def read_lock(path: pathlib.Path) -> dict[str, set[str]]:
    """Return package -> locked versions (one for each range of Python versions); empty without a lock."""
    return locked_versions(path.read_text("utf-8")) if path.is_file() else {}


def locked_versions(text: str) -> dict[str, set[str]]:
    r"""Read ``name==version`` lines.

    >>> locked_versions("a==1 ; python_version < '3.12' \\\n    --hash=sha256:0\na==2\n") == {"a": {"1", "2"}}
    True
    """
    versions: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9._-]+)==([^\s;\\]+)", text, flags=re.MULTILINE):
        versions.setdefault(name, set()).add(version)
    return versions


def check_packages(installed: Mapping[str, str | None], locked: Mapping[str, set[str]]) -> Finding:
    """Compare installed versions (None = missing) with the lock's."""
    finding = functools.partial(Finding, name="packages")
    missing = [name for name, version in installed.items() if version is None]
    if missing:
        return finding(state="problem", detail=f"missing: {', '.join(missing)}", remedy="make install")
    found = ", ".join(f"{name} {version}" for name, version in installed.items())
    if not locked:
        return finding(state="note", detail=f"{found}; no requirements.lock to compare with")
    other = [
        f"{name} {version} (lock: {' or '.join(sorted(locked[name]))})"
        for name, version in installed.items()
        if name in locked and version not in locked[name]
    ]
    if other:
        return finding(state="note", detail=f"not as locked: {', '.join(other)}", remedy="make install")
    return finding(state="ok", detail=f"{found}; as locked")


def check_features(missing: Sequence[str]) -> Finding:
    """Say what cannot be done for want of which module of `FEATURES`."""
    if not missing:
        return Finding(name="features", state="ok", detail="nothing is missing for any verb")
    detail = ", ".join(f"{module} (for: {FEATURES[module]})" for module in missing)
    return Finding(name="features", state="problem", detail=f"missing: {detail}", remedy="make install")


def check_git(command: str | None) -> Finding:
    """Say whether runs can note the commit that they were made from."""
    if command:
        return Finding(name="git", state="ok", detail=command)
    remedy = "install git, so that environment.json names the commit of a run"
    return Finding(name="git", state="note", detail="not found", remedy=remedy)


def check_cores(count: int) -> Finding:
    """Assess the number of cores that this process may use; the presets' times are for two."""
    if count >= 2:
        return Finding(name="cores", state="ok", detail=str(count))
    return Finding(name="cores", state="note", detail=str(count), remedy="expect twice the times that are stated")


def check_memory(available: int, limit: int | None) -> Finding:
    """Assess the memory in bytes that is available, and the container's limit if it has one."""
    usable = available if limit is None else min(available, limit)
    detail = f"{usable / _GIB:.1f} GiB available" + ("" if limit is None else f", limit {limit / _GIB:.1f} GiB")
    if usable >= MINIMUM_MEMORY_GIB * _GIB:
        return Finding(name="memory", state="ok", detail=detail)
    remedy = f"the default presets need about {MINIMUM_MEMORY_GIB} GiB: close programs, or use --preset quick"
    return Finding(name="memory", state="note", detail=detail, remedy=remedy)


def check_disk(free: int) -> Finding:
    """Assess the bytes that are free where runs are written."""
    detail = f"{free / _GIB:.1f} GiB free in {pathlib.Path.cwd()}"
    if free >= MINIMUM_DISK_GIB * _GIB:
        return Finding(name="disk", state="ok", detail=detail)
    remedy = f"an installation and a few runs need {MINIMUM_DISK_GIB} GiB"
    return Finding(name="disk", state="note", detail=detail, remedy=remedy)


def check_onednn(setting: str | None, architecture: str, flags: Collection[str]) -> Finding:
    """Say whether TensorFlow's fast CPU kernels are on.

    TensorFlow by itself takes them on x86 where the processor multiplies 8 or 16 bits; `runtime.quiet_logs` everywhere.
    """
    if setting == "0":
        remedy = "unset TF_ENABLE_ONEDNN_OPTS: convolutions on a CPU take up to twice as long without"
        return Finding(name="oneDNN", state="note", detail="switched off by TF_ENABLE_ONEDNN_OPTS=0", remedy=remedy)
    if setting is None and architecture == "x86_64" and not _ONEDNN_FLAGS & set(flags):
        detail = "on: TensorFlow by itself leaves it off on a processor without AVX-512 VNNI"
        return Finding(name="oneDNN", state="ok", detail=detail)
    return Finding(name="oneDNN", state="ok", detail=f"on ({architecture})")


def check_devices(driver: Sequence[str], tensorflow: Sequence[str]) -> Finding:
    """Compare the GPUs that the driver sees with those that TensorFlow sees."""
    finding = functools.partial(Finding, name="devices")
    if tensorflow:
        names = ", ".join(driver or tensorflow)
        return finding(state="ok", detail=f"{len(tensorflow)} GPU, used by default: {names}")
    if driver:
        return finding(
            state="problem",
            detail=f"the driver sees {', '.join(driver)}, TensorFlow sees no GPU",
            remedy="install the gpu extra, pip install -e '.[gpu]', and unset CUDA_VISIBLE_DEVICES if set",
        )
    return finding(state="ok", detail="no GPU: everything runs on the CPU")


def check_precision(compute_capabilities: Sequence[str], processor_flags: frozenset[str]) -> Finding:
    """Advise the setting ``--precision``.

    On a GPU bfloat16 needs compute capability 8.0, fast float16 7.0; on a CPU only AMX or AVX512-BF16 make
    16 bits faster.
    """
    finding = functools.partial(Finding, name="precision", state="ok")
    if compute_capabilities:
        lowest = min(float(capability) for capability in compute_capabilities)
        advice = "mixed_bfloat16" if lowest >= 8 else "mixed_float16" if lowest >= 7 else "float32"
        return finding(detail=f"--precision {advice} (compute capability {lowest})")
    fast = sorted(processor_flags & {"amx_bf16", "avx512_bf16"})
    if fast:
        detail = f"float32; --precision mixed_bfloat16 is about twice as fast for images ({', '.join(fast)})"
        return finding(detail=detail)
    return finding(detail="float32: 16 bits would be slower on this processor")


def check_input(input_seconds: float, step_seconds: float) -> Finding:
    """Say whether training waits for its input or for its arithmetic, from the seconds of each."""
    times = f"{1000 * input_seconds:.1f} ms input, {1000 * step_seconds:.1f} ms training step a batch"
    finding = functools.partial(Finding, name="input pipeline")
    if input_seconds < step_seconds:
        return finding(state="ok", detail=f"{times}: the arithmetic is the bottleneck, and input runs beside it")
    remedy = "give the process more cores, or cheaper augmentation; a faster device would not help"
    return finding(state="note", detail=f"{times}: input-bound, the device waits for data", remedy=remedy)


def _probe_determinism() -> Finding:
    from shared import probes

    if probes.training_repeats():
        return Finding(name="determinism", state="ok", detail="two trainings from one seed gave the same bits")
    remedy = "expect other weights each time; please report this device and these versions"
    return Finding(name="determinism", state="problem", detail="two trainings from one seed differ", remedy=remedy)


def _probe_input() -> Finding:
    from shared import probes

    timing = probes.time_a_batch()
    return check_input(timing.input_seconds, timing.step_seconds)


def _guarded(name: str, check: Callable[[], Finding]) -> Finding:
    """Turn a check that cannot be made into a problem: the other checks still tell something."""
    try:
        return check()
    except Exception as error:
        return Finding(name=name, state="problem", detail=f"{type(error).__name__}: {error}", remedy="make install")
