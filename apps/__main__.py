"""``fieldnets``: what spans the apps.

``demo`` runs all of them on embedded data; ``doctor`` looks at this machine; ``runs`` lists runs, and ``compare``
compares some of them.
"""

import argparse
import importlib
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from shared import cli, errors, files

# As this code is found: apps.sentiment in a checkout, fieldnets.apps.sentiment where it is installed.
APPS = {
    "medical-imaging": f"{__package__}.medical_imaging",
    "fraud-detection": f"{__package__}.fraud_detection",
    "driving-perception": f"{__package__}.driving_perception",
    "sentiment": f"{__package__}.sentiment",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the ``fieldnets`` command line and return its exit code."""
    parser = cli.Parser(prog="fieldnets", description="Deep-learning apps for four fields.", allow_abbrev=False)
    cli.add_version(parser)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    run_demo = cli.add_verb(verbs, "demo", demo, help="train, evaluate, export and serve on embedded data")
    run_demo.add_argument("--app", choices=tuple(APPS), action="append", help="only this app")
    run_demo.add_argument("--preset", choices=cli.PRESETS, default="quick", help="default: quick")
    run_demo.add_argument(
        "--output-dir", type=pathlib.Path, default=pathlib.Path("runs/demo"), help="default: runs/demo"
    )
    cli.add_verb(verbs, "doctor", examine, help="report versions, devices, memory, determinism and what is missing")
    list_runs = cli.add_verb(verbs, "runs", show_runs, help="list the runs below a folder; write one page of them")
    list_runs.add_argument("folder", metavar="DIR", nargs="?", type=pathlib.Path, default=pathlib.Path("runs"))
    list_runs.add_argument("--output", type=pathlib.Path, help="the page (default: DIR/index.html)")
    compared = cli.add_verb(verbs, "compare", compare_runs, help="compare runs of one app on the same test rows")
    compared.add_argument("runs", metavar="RUN", nargs="+", type=pathlib.Path, help="the first is the reference")
    compared.add_argument("--output-dir", type=pathlib.Path, default=pathlib.Path("runs/comparison"))
    return cli.run(parser, argv)


def demo(arguments: argparse.Namespace) -> cli.Result:
    """Run every app's main job and return one row per app."""
    from apps import demo as runner

    rows = [
        runner.run_app(
            name,
            APPS[name],
            preset=arguments.preset,
            folder=arguments.output_dir / name,
            seed=arguments.seed,
            quiet=arguments.quiet,
        )
        for name in arguments.app or APPS
    ]
    return {"table": rows, **{f"report of {row['app']}": row["report"] for row in rows}}


def show_runs(arguments: argparse.Namespace) -> cli.Result:
    """List the runs below a folder, and write the page of them."""
    from shared.runs import folders, index

    folder: pathlib.Path = arguments.folder
    found = [
        folders.read(path, configs=_configs(), name=str(path.relative_to(folder)) if path != folder else path.name)
        for path in folders.find(folder)
    ]
    if not found:
        return {"runs": "none", "next": f"sentiment train --preset quick --run-dir {folder / 'sentiment'}"}
    page = arguments.output or folder / "index.html"
    index.write(found, page, searched=folder)
    shown = (
        {"runs": [run.to_json() for run in found]} if arguments.json else {"table": [index.row(run) for run in found]}
    )
    return {**shown, "page": str(page)}


def compare_runs(arguments: argparse.Namespace) -> cli.Result:
    """Compare runs on the rows that all of them predicted; write a page and a JSON document."""
    from shared.runs import comparing, page

    if len(arguments.runs) < 2:
        raise errors.InputError(f"compare: expected at least two runs. Received: {arguments.runs[0]}")
    app = importlib.import_module(f"{_app_of(arguments.runs)}.comparing").COMPARISON
    names = _names(arguments.runs)
    runs = [comparing.open_tested(path, name=name, app=app) for path, name in zip(arguments.runs, names, strict=True)]
    found = page.compare(runs, app)
    page.write(found, arguments.output_dir)
    content = page.to_json(found)
    return {
        "answer": page.answer(found),
        "common test rows": f"{content['test']['rows']} of {content['test']['units']} units",
        **{f"{name} minus {names[0]}": values for name, values in content["differences"].items()},
        "settings that differ": list(content["settings"]),
        "notes": content["notes"],
        "page": str(arguments.output_dir / "comparison.html"),
    }


def _app_of(paths: Sequence[pathlib.Path]) -> str:
    """Return the module of the app whose runs these are.

    Raises:
        errors.InputError: One is no run, or was not evaluated; or they are of several apps.
    """
    modules = {module.rpartition(".")[2]: module for module in APPS.values()}
    found = {}
    for path in paths:
        document = files.RunFolder.open(path).evaluation / "metrics.json"
        if not document.is_file():
            raise errors.InputError(
                f"{path}: expected an evaluated run; `evaluate --run-dir {path}` makes one. Received: no evaluation"
            )
        found[str(path)] = str(files.read_json(document).get("app"))
    if len(set(found.values())) > 1 or not set(found.values()) <= set(modules):
        told = ", ".join(f"{app} ({path})" for path, app in found.items())
        raise errors.InputError(f"compare: expected runs of one app. Received: {told}")
    return modules[next(iter(found.values()))]


def _names(paths: Sequence[pathlib.Path]) -> list[str]:
    """Return a name of each run: the ends of their paths, as long as is needed to tell them apart."""
    parts = [path.resolve().parts for path in paths]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(each[-length:]) for each in parts]
        if len(set(names)) == len(names):
            return names
    raise errors.InputError(f"compare: expected runs that differ. Received: {paths[0]} twice")


def _configs() -> dict[str, Any]:
    """Return the config class of every app, by the name that its ``metrics.json`` has."""
    modules = {module.rpartition(".")[2]: importlib.import_module(f"{module}.config") for module in APPS.values()}
    return {name: module.Config for name, module in modules.items()}


def examine(arguments: argparse.Namespace) -> cli.Result:
    """Examine this machine and installation."""
    from shared import doctor

    del arguments
    findings = doctor.examine()
    broken = any(finding.state == "problem" for finding in findings)
    return {"table": [_row(finding) for finding in findings], "exit_code": errors.GateError.exit_code if broken else 0}


def _row(finding: Any) -> dict[str, str]:
    return {"": finding.state, "what": finding.name, "found": finding.detail, "what to do": finding.remedy}


if __name__ == "__main__":
    sys.exit(main())
