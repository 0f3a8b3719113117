"""What ``docs/serving.md`` and ``deploy/`` tell an operator: well formed, consistent, true of the server's options."""

import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from shared.serving import limits, settings
from tests import helpers

DEPLOY = helpers.ROOT / "deploy"
DOCUMENT = (helpers.ROOT / "docs" / "serving.md").read_text("utf-8")
YAML = sorted(DEPLOY.rglob("*.yaml"))
# Options of every verb: not what an operator of a server looks for.
COMMON = {"--help", "--seed", "--verbose", "--quiet", "--json"}
OURS = re.compile(r"(?<![\w-])--[a-z][a-z-]*(?![\w-])")


def options_of(verb: str) -> set[str]:
    """Return the options that a verb's help names."""
    command = [sys.executable, "-m", "apps.sentiment", verb, "--help"]
    finished = subprocess.run(command, env=helpers.ENVIRONMENT, capture_output=True, text=True, check=True)
    return set(OURS.findall(finished.stdout))


@pytest.fixture(scope="module")
def serve_options() -> set[str]:
    return options_of("serve")


def documents(path: pathlib.Path) -> list[Any]:
    return [each for each in yaml.safe_load_all(path.read_text("utf-8")) if each is not None]


def walk(value: Any) -> Iterator[Any]:
    """Yield a value and everything in it."""
    yield value
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inside:
        yield from walk(each)


def manifests() -> list[Any]:
    folders = (DEPLOY / "kubernetes", DEPLOY / "kserve")
    return [each for folder in folders for path in sorted(folder.glob("*.yaml")) for each in documents(path)]


def of_kind(kind: str) -> Any:
    (found,) = [each for each in manifests() if each["kind"] == kind]
    return found


def commands() -> list[str]:
    """Return the lines of the document's blocks of commands that run an app, without their comments."""
    blocks = re.findall(r"```\n(.*?)```", DOCUMENT, re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line.partition(" #")[0] for line in lines if line.startswith("sentiment ")]


def pods() -> list[Any]:
    """Return what says how our containers run."""
    return [of_kind("Deployment")["spec"]["template"]["spec"], of_kind("InferenceService")["spec"]["predictor"]]


@pytest.mark.parametrize("path", YAML, ids=lambda path: path.name)
def test_every_yaml_file_is_read(path: pathlib.Path) -> None:
    assert documents(path)


def test_every_option_in_prose_is_one_of_the_servers(serve_options: set[str]) -> None:
    prose = re.sub(r"```.*?```", "", DOCUMENT, flags=re.DOTALL)
    named = {option for code in re.findall(r"`(--[^`]*|serve [^`]*)`", prose) for option in OURS.findall(code)}
    assert len(named) > 10
    assert named <= serve_options


def test_every_option_of_the_server_is_explained(serve_options: set[str]) -> None:
    assert serve_options - COMMON <= set(OURS.findall(DOCUMENT))


def test_every_command_of_the_document_names_options_of_its_verb() -> None:
    known = {verb: options_of(verb) for verb in ("export", "serve")}
    assert {line.split()[1] for line in commands()} == set(known)
    for line in commands():
        assert set(OURS.findall(line)) <= known[line.split()[1]], line


def test_every_container_of_ours_is_started_with_options_that_exist(serve_options: set[str]) -> None:
    lists = [each for path in YAML for document in documents(path) for each in walk(document) if isinstance(each, list)]
    started = [each for each in lists if each[:1] == ["serve"]]
    started += [each.split(",") for each in re.findall(r"--container-args=(\S+)", DOCUMENT)]
    assert len(started) == 4
    for arguments in started:
        assert {each for each in arguments if each.startswith("--")} <= serve_options


def test_every_file_that_the_document_links_to_exists() -> None:
    linked = re.findall(r"\]\(([^)]+)\)", DOCUMENT)
    assert linked
    for target in linked:
        assert (helpers.ROOT / "docs" / target).exists(), target


def test_the_paths_that_a_command_mounts_exist() -> None:
    for path in re.findall(r"\$PWD/(deploy/[\w./-]+)|-[fk] (deploy/[\w./-]+)", DOCUMENT):
        assert (helpers.ROOT / "".join(path)).exists(), path


@pytest.mark.parametrize("place", [0, 1], ids=["Deployment", "InferenceService"])
def test_a_container_runs_without_root_on_a_root_that_cannot_be_written(place: int) -> None:
    pod = pods()[place]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert f"USER {pod['securityContext']['runAsUser']}\n" in (DEPLOY / "Dockerfile").read_text("utf-8")
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("place", [0, 1], ids=["Deployment", "InferenceService"])
def test_a_container_mounts_volumes_that_are_there_and_reads_only_what_is_mounted(place: int) -> None:
    pod = pods()[place]
    (container,) = pod["containers"]
    assert {each["name"] for each in container["volumeMounts"]} == {each["name"] for each in pod["volumes"]}
    mounted = tuple(each["mountPath"] for each in container["volumeMounts"])
    assert all(each.startswith(mounted) for each in container["args"] if each.startswith("/"))


def test_probes_ask_the_servers_port_for_routes_that_need_no_token() -> None:
    containers = [container for pod in pods() for container in pod["containers"]]
    probes = [
        (container, each["httpGet"])
        for container in containers
        for name, each in container.items()
        if name.endswith("Probe")
    ]
    assert len(probes) == 4
    for container, asked in probes:
        assert limits.is_open(asked["path"])
        assert asked["port"] == container["ports"][0]["containerPort"]


def test_service_autoscaler_and_budget_mean_the_deployment() -> None:
    deployment, scaler = of_kind("Deployment"), of_kind("HorizontalPodAutoscaler")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert of_kind("Service")["spec"]["selector"] == labels
    assert of_kind("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert scaler["spec"]["minReplicas"] == deployment["spec"]["replicas"]


def test_what_prometheus_scrapes_are_services_of_the_compose_file() -> None:
    (composed,), (scraping,) = documents(DEPLOY / "compose.yaml"), documents(DEPLOY / "prometheus.yaml")
    jobs = scraping["scrape_configs"]
    fixed = [target for job in jobs for each in job.get("static_configs", []) for target in each["targets"]]
    found = [name for job in jobs for each in job.get("dns_sd_configs", []) for name in each["names"]]
    targets = {target.partition(":")[0] for target in (*fixed, *found)}
    assert len(targets) == len(jobs)
    assert targets < set(composed["services"])


def test_the_proxy_waits_and_holds_as_long_and_as_much_as_the_server() -> None:
    text = (DEPLOY / "nginx" / "fieldnets.conf").read_text("utf-8")
    given = {name: float(number) for name, number in re.findall(r"^\s*(\w+) (\d+)[smk]?;", text, re.MULTILINE)}
    own = settings.Settings(model_dirs=())
    assert given["keepalive_timeout"] < own.keep_alive_seconds
    assert given["proxy_read_timeout"] > own.deadline_seconds
    assert given["client_max_body_size"] * 2**20 > own.max_body_bytes
    (composed,) = documents(DEPLOY / "compose.yaml")
    (asked,) = re.findall(r"server (\w+):8501", text)
    assert composed["services"][asked]["deploy"]["replicas"] > 1
    assert "ports" not in composed["services"][asked]


def seconds(arguments: list[str], option: str, default: float) -> float:
    return float(arguments[arguments.index(option) + 1]) if option in arguments else default


def test_a_server_ends_before_it_would_be_killed() -> None:
    (composed,) = documents(DEPLOY / "compose.yaml")
    service, own = composed["services"]["fieldnets"], settings.Settings(model_dirs=())
    started = [(service["command"], float(service["stop_grace_period"].removesuffix("s")))]
    # Kubernetes' own grace is 30 s.
    started += [(pod["containers"][0]["args"], pod.get("terminationGracePeriodSeconds", 30)) for pod in pods()]
    assert len(started) == 3
    for arguments, grace in started:
        assert seconds(arguments, "--shutdown-seconds", own.shutdown_seconds) < grace
        assert seconds(arguments, "--drain-seconds", 0) >= 3


def test_what_the_image_copies_is_not_ignored() -> None:
    copied = re.findall(r"^COPY (.+) \S+$", (DEPLOY / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    kept = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    for path in " ".join(copied).split():
        assert f"!{path}" in kept
        assert (helpers.ROOT / path).exists()


@pytest.mark.tensorflow
def test_tensorflow_servings_model_file_is_one_of_its_own_messages() -> None:
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    text = (DEPLOY / "tensorflow-serving" / "models.config").read_text("utf-8")
    (model,) = text_format.Parse(text, model_server_config_pb2.ModelServerConfig()).model_config_list.config
    assert model.base_path == f"/bundles/{model.name}"
    assert model.model_version_policy.latest.num_versions == 2
    assert dict(model.version_labels) == {"stable": 1}


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_an_overlay_makes_a_second_server_whose_pods_no_other_service_selects() -> None:
    built = {
        place: subprocess.run(
            ["kubectl", "kustomize", str(DEPLOY / place)], capture_output=True, text=True, check=True
        ).stdout
        for place in ("kubernetes", "overlays/fraud")
    }
    base, overlay = (list(yaml.safe_load_all(text)) for text in built.values())
    assert {each["kind"] for each in base} == {each["kind"] for each in overlay}
    for one, other in zip(*(sorted(each, key=lambda part: str(part["kind"])) for each in (base, overlay)), strict=True):
        assert other["metadata"]["name"] == f"{one['metadata']['name']}-fraud"
    (service,) = (each for each in overlay if each["kind"] == "Service")
    (deployment,) = (each for each in overlay if each["kind"] == "Deployment")
    (scaler,) = (each for each in overlay if each["kind"] == "HorizontalPodAutoscaler")
    assert service["spec"]["selector"] == {"app": "fieldnets-fraud"}
    assert service["spec"]["selector"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
    assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert deployment["spec"]["template"]["spec"]["containers"][0]["command"] == ["fraud-detection"]
