"""The demo of one app: train, evaluate, export and ask the served bundle, each through the app's command line."""

import json
import logging
import pathlib
import subprocess
import time
import urllib.request
from typing import Any

from shared import errors, files, machine
from shared.bundle import reading as bundle

log = logging.getLogger("fieldnets")
START_SECONDS = 120


def run_app(name: str, module: str, *, preset: str, folder: pathlib.Path, seed: int, quiet: bool) -> dict[str, str]:
    """Run an app's main job on its embedded data.

    Returns:
        A row of the result table: app, rows tested, headline metric with its interval, the best baseline, time, report.

    Raises:
        errors.FieldnetsError: A step failed; its own message stands above.
    """
    started = time.monotonic()
    common = ["--seed", str(seed), *(["--quiet"] if quiet else [])]
    run_dir, repository = str(folder / "run"), str(folder / "bundle")
    _step(module, "train", "--preset", preset, "--run-dir", run_dir, "--overwrite", *common)
    _step(module, "evaluate", "--run-dir", run_dir, *common)
    exported = _step(module, "export", "--run-dir", run_dir, "--output-dir", repository, *common)
    answers = ask_served(module, pathlib.Path(exported["bundle"]))
    log.info("%s: served %d golden inputs with the answers that predict gives", name, answers)
    evaluation = files.RunFolder(pathlib.Path(run_dir)).evaluation
    return result_row(name, files.read_json(evaluation / "metrics.json")) | {
        "minutes": f"{(time.monotonic() - started) / 60:.1f}",
        "report": str(evaluation / "report.html"),
    }


def result_row(name: str, document: dict[str, Any]) -> dict[str, str]:
    """Return an app's headline: the first metric of ``metrics.json``, beside the baseline that is best at it."""
    metric, interval = next(iter(document["metrics"].items()))
    rivals = {rival: values[metric] for rival, values in document["baselines"].items() if metric in values}
    best = max(rivals, key=lambda rival: float(rivals[rival]["value"]))
    return {
        "app": name,
        "test rows": f"{document['data']['n']:,}",
        "metric": metric,
        "model": _shown(interval),
        "best baseline": f"{best} {_shown(rivals[best])}",
    }


def ask_served(module: str, version_folder: pathlib.Path, rows: int = 8) -> int:
    """Serve a bundle on a free port, send golden inputs over HTTP, compare, and stop the server.

    Returns:
        How many rows were compared.

    Raises:
        errors.GateError: The server did not come up, or answered otherwise than the golden outputs say.
    """
    command = [*machine.python_command(module), "serve", "--model-dir", str(version_folder), "--port", "0", "--json"]
    server = subprocess.Popen(
        command, env=machine.python_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        address = _address(server)
        golden = files.read_json(version_folder / bundle.EXTRA / "golden.json")
        inputs = {key: values[:rows] for key, values in golden["inputs"].items()}
        body = json.dumps({"inputs": inputs}).encode()
        url = f"{address}/v1/models/{version_folder.parent.name}:predict"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=START_SECONDS) as reply:
            outputs = json.load(reply)["outputs"]
    finally:
        server.terminate()
        server.wait()
    if outputs["decision"] != golden["outputs"]["decision"][:rows]:
        raise errors.GateError("serve: expected the golden decisions. Received others")
    return len(outputs["decision"])


def _address(server: "subprocess.Popen[str]") -> str:
    """Read the server's messages until it says where it listens."""
    lines = []
    for line in server.stderr or ():
        lines.append(line)
        if "http://" in line:
            return "http://" + line.split("http://")[1].split()[0].rstrip("/")
    raise errors.GateError(f"serve: expected the server to start. Received: {''.join(lines[-5:])}")


def _step(module: str, verb: str, *options: str) -> dict[str, Any]:
    log.info("$ %s %s %s", module.rpartition(".")[2].replace("_", "-"), verb, " ".join(options))
    command = [*machine.python_command(module), verb, *options, "--json"]
    finished = subprocess.run(command, env=machine.python_environment(), stdout=subprocess.PIPE, text=True, check=False)
    if finished.returncode != 0:
        raise errors.FieldnetsError(f"{module} {verb} ended with exit code {finished.returncode}; see above")
    result: dict[str, Any] = json.loads(finished.stdout)
    return result


def _shown(interval: dict[str, Any]) -> str:
    return f"{interval['value']:.3f} ({interval['low']:.3f} to {interval['high']:.3f})"
