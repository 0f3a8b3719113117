"""``deploy/training``: what Kubernetes, Slurm and a shell tell the processes of one training."""

import pathlib
import subprocess
import sys

import pytest
import yaml

from shared.training import cluster
from tests import helpers

FOLDER = helpers.ROOT / "deploy" / "training"
TELL = [sys.executable, "-c", "import os; print(os.environ['TF_CONFIG'])"]


def told(**environment: str) -> subprocess.CompletedProcess[str]:
    command = ["sh", str(FOLDER / "tf_config.sh"), *TELL]
    return subprocess.run(command, env={"PATH": "/usr/bin:/bin", **environment}, capture_output=True, text=True)


@pytest.mark.parametrize("variable", ["RANK", "JOB_COMPLETION_INDEX", "SLURM_PROCID"])
def test_every_process_is_told_who_the_others_are(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cluster.VARIABLE, told(WORKERS=" a:1  b:2 ", **{variable: "1"}).stdout)
    assert cluster.from_environment() == cluster.Cluster(addresses=("a:1", "b:2"), rank=1)


@pytest.mark.parametrize("given", [{}, {"RANK": "0"}, {"WORKERS": "a:1 b:2"}])
def test_what_is_missing_is_named(given: dict[str, str]) -> None:
    finished = told(**given)
    assert finished.returncode != 0
    assert "expected" in finished.stderr


def test_the_job_names_all_its_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    service, job = yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text("utf-8"))
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    port = container["ports"][0]["containerPort"]
    names = [f"{job['metadata']['name']}-{index}.{pod['subdomain']}" for index in range(job["spec"]["completions"])]
    environment = {each["name"]: each["value"] for each in container["env"]}
    monkeypatch.setenv(cluster.VARIABLE, told(JOB_COMPLETION_INDEX="0", **environment).stdout)
    assert cluster.from_environment() == cluster.Cluster(addresses=tuple(f"{name}:{port}" for name in names), rank=0)
    assert service["metadata"]["name"] == pod["subdomain"]
    assert job["spec"]["parallelism"] == job["spec"]["completions"], "they must run at the same time"
    assert container["command"][:2] == ["sh", "/training/tf_config.sh"]


def test_the_script_of_slurm_is_one_that_bash_reads() -> None:
    assert pathlib.Path(FOLDER / "slurm.sh").read_text().startswith("#!/bin/bash")
    subprocess.run(["bash", "-n", FOLDER / "slurm.sh"], check=True)
