import pathlib
import shutil
import subprocess
from typing import Any

import pytest

from shared import doctor, machine

GIB = 2**30
LOCKED = {"numpy": {"2.4.6", "2.5.5"}, "keras": {"3.15.1"}}


@pytest.mark.parametrize(
    ("finding", "state", "detail", "remedy"),
    [
        (doctor.check_python((3, 12)), "ok", "3.12", ""),
        (doctor.check_python((3, 14)), "note", "3.14", "3.13"),
        (doctor.check_packages({"numpy": "2.4.6", "keras": "3.15.1"}, LOCKED), "ok", "as locked", ""),
        (doctor.check_packages({"numpy": "2.5.5"}, LOCKED), "ok", "numpy 2.5.5", ""),
        (doctor.check_packages({"numpy": "2.4.6"}, {}), "note", "no requirements.lock", ""),
        (
            doctor.check_packages({"keras": "3.14.0"}, LOCKED),
            "note",
            "keras 3.14.0 (lock: 3.15.1)",
            "make install",
        ),
        (doctor.check_packages({"keras": None}, LOCKED), "problem", "missing: keras", "make install"),
        (doctor.check_features([]), "ok", "nothing is missing", ""),
        (doctor.check_features(["optuna"]), "problem", "optuna (for: tune)", "make install"),
        (doctor.check_git("/usr/bin/git"), "ok", "/usr/bin/git", ""),
        (doctor.check_git(None), "note", "not found", "environment.json"),
        (doctor.check_cores(2), "ok", "2", ""),
        (doctor.check_cores(1), "note", "1", "twice"),
        (doctor.check_memory(8 * GIB, None), "ok", "8.0 GiB available", ""),
        (
            doctor.check_memory(64 * GIB, 2 * GIB),
            "note",
            "2.0 GiB available, limit 2.0 GiB",
            "--preset quick",
        ),
        (doctor.check_memory(3 * GIB, 64 * GIB), "note", "3.0 GiB available", "--preset quick"),
        (doctor.check_disk(100 * GIB), "ok", "100.0 GiB free", ""),
        (doctor.check_disk(GIB), "note", "1.0 GiB free", "5 GiB"),
        (doctor.check_onednn(None, "x86_64", {"avx2", "avx512_vnni"}), "ok", "on (x86_64)", ""),
        (doctor.check_onednn(None, "x86_64", {"avx2"}), "ok", "by itself leaves it off", ""),
        (doctor.check_onednn("1", "x86_64", {"avx2"}), "ok", "on (x86_64)", ""),
        (doctor.check_onednn("0", "x86_64", {"avx2"}), "note", "switched off", "unset TF_ENABLE_ONEDNN_OPTS"),
        (doctor.check_devices([], []), "ok", "no GPU", ""),
        (doctor.check_devices(["L4"], ["L4"]), "ok", "1 GPU, used by default: L4", ""),
        (doctor.check_devices(["L4"], []), "problem", "TensorFlow sees no GPU", "gpu extra"),
        (doctor.check_precision(["8.9"], frozenset()), "ok", "mixed_bfloat16", ""),
        (doctor.check_precision(["9.0", "7.5"], frozenset()), "ok", "mixed_float16", ""),
        (doctor.check_precision(["6.1"], frozenset({"amx_bf16"})), "ok", "--precision float32", ""),
        (doctor.check_precision([], frozenset({"avx2", "avx512_bf16"})), "ok", "mixed_bfloat16", ""),
        (doctor.check_precision([], frozenset({"avx2"})), "ok", "float32: 16 bits would be slower", ""),
        (doctor.check_input(0.001, 0.010), "ok", "1.0 ms input, 10.0 ms training step", ""),
        (doctor.check_input(0.020, 0.010), "note", "input-bound", "more cores"),
    ],
)
def test_each_check_says_what_was_found_and_what_to_do(
    finding: doctor.Finding, state: str, detail: str, remedy: str
) -> None:
    assert finding.state == state
    assert detail in finding.detail
    assert remedy in finding.remedy
    assert bool(finding.remedy) <= (state != "ok")


def test_the_lock_of_this_checkout_names_every_package_that_is_compared(root: pathlib.Path) -> None:
    locked = doctor.read_lock(root / "requirements.lock")
    assert set(doctor.PACKAGES) <= set(locked)
    assert doctor.read_lock(root / "none.lock") == {}


def test_every_feature_of_this_installation_is_there() -> None:
    assert machine.missing(doctor.FEATURES) == []
    assert machine.missing(["json", "no_such_module"]) == ["no_such_module"]


def test_a_package_that_is_not_installed_has_no_version() -> None:
    found = machine.installed(["pytest", "no-such-distribution"])
    assert found["pytest"]
    assert found["no-such-distribution"] is None


@pytest.mark.parametrize(("text", "limit"), [("max\n", None), ("1073741824\n", GIB)])
def test_a_containers_memory_limit_is_read(tmp_path: pathlib.Path, text: str, limit: int | None) -> None:
    (tmp_path / "memory.max").write_text(text)
    assert machine.memory_limit(tmp_path / "memory.max") == limit
    assert machine.memory_limit(tmp_path / "none") is None


def test_the_processors_features_are_read(tmp_path: pathlib.Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor : 0\nflags\t\t: fpu avx2 amx_bf16\nbugs : none\n")
    assert machine.processor_flags(tmp_path / "cpuinfo") == {"fpu", "avx2", "amx_bf16"}
    assert machine.processor_flags(tmp_path / "none") == frozenset()


def test_the_drivers_gpus_are_read_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(command: list[str], **_: Any) -> "subprocess.CompletedProcess[str]":
        assert command[:2] == ["nvidia-smi", "--query-gpu=name"]
        return subprocess.CompletedProcess(command, 0, stdout="NVIDIA L4\nNVIDIA L4\n\n")

    monkeypatch.setattr(subprocess, "run", answer)
    assert machine.driver_gpus("name") == ["NVIDIA L4", "NVIDIA L4"]


@pytest.mark.parametrize("error", [FileNotFoundError("nvidia-smi"), subprocess.CalledProcessError(9, "nvidia-smi")])
def test_a_driver_that_does_not_answer_has_no_gpu(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def answer(command: list[str], **_: Any) -> None:
        del command
        raise error

    monkeypatch.setattr(subprocess, "run", answer)
    assert machine.driver_gpus("name") == []


@pytest.mark.tensorflow
def test_the_examination_names_everything_once_and_survives_a_check_that_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from shared import probes

    def fail(path: pathlib.Path) -> None:
        raise PermissionError(f"{path} is not for you")

    timing = probes.Timing(input_seconds=0.001, step_seconds=0.01)
    monkeypatch.setattr(probes, "training_repeats", lambda: False)
    monkeypatch.setattr(probes, "time_a_batch", lambda: timing)
    monkeypatch.setattr(shutil, "disk_usage", fail)
    findings = {finding.name: finding for finding in doctor.examine()}
    assert list(findings) == [
        *("Python", "packages", "features", "git", "cores", "memory", "disk", "oneDNN"),
        *("devices", "precision", "determinism", "input pipeline"),
    ]
    assert findings["disk"].state == "problem"
    assert "PermissionError" in findings["disk"].detail
    assert "is not for you" in findings["disk"].detail
    assert findings["determinism"].state == "problem"
    assert findings["input pipeline"].state == "ok"


@pytest.mark.tensorflow
def test_training_repeats_here_and_a_planted_disturbance_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    from shared import probes

    assert probes.training_repeats(rows=128)
    seeds = iter([1, 2])
    monkeypatch.setattr(keras.utils, "set_random_seed", lambda _: None)
    build = probes._build

    def disturbed() -> keras.Model:
        model = build()
        model.get_layer("logits").bias.assign_add([next(seeds) * 1e-6, 0.0])
        return model

    monkeypatch.setattr(probes, "_build", disturbed)
    assert not probes.training_repeats(rows=128)


@pytest.mark.tensorflow
def test_both_times_of_a_batch_are_measured() -> None:
    from shared import probes

    timing = probes.time_a_batch(rows=128, batches=2)
    assert timing.input_seconds > 0
    assert timing.step_seconds > 0
