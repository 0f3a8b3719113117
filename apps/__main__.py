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

from shared import cli, config, errors, files, steps, usage

# As this code is found: apps.sentiment in a checkout, fieldnets.apps.sentiment where it is installed.
APPS = {
    "medical-imaging": f"{__package__}.medical_imaging",
    "fraud-detection": f"{__package__}.fraud_detection",
    "driving-perception": f"{__package__}.driving_perception",
    "sentiment": f"{__package__}.sentiment",
}
SHELLS = ("bash", "zsh", "fish")
EXAMPLES = {
    "demo": ("--app sentiment", "--preset smoke --output-dir /tmp/demo"),
    "doctor": ("", "--json"),
    "runs": ("", "runs/demo --json"),
    "compare": ("runs/first runs/second", "runs/first runs/second --output-dir runs/comparison"),
    "explain-training": ("--app sentiment", "--app fraud-detection --output step.html"),
    "init": ("sentiment", "fraud-detection --preset default --output fraud.json"),
    "completion": ("bash > ~/.local/share/bash-completion/completions/fieldnets", "fish | source"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the ``fieldnets`` command line and return its exit code."""
    return cli.run(build_parser(), argv)


def build_parser() -> usage.Parser:
    """Return the parser of the ``fieldnets`` command line."""
    parser = usage.Parser(prog="fieldnets", description="Deep-learning apps for four fields.", allow_abbrev=False)
    cli.add_version(parser)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    run_demo = cli.add_verb(verbs, "demo", demo, help="train, evaluate, export and serve on embedded data")
    run_demo.add_argument("--app", choices=tuple(APPS), action="append", help="only this app")
    run_demo.add_argument("--preset", choices=cli.PRESETS, default="quick", help="default: quick")
    run_demo.add_argument(
        "--output-dir", type=pathlib.Path, default=pathlib.Path("runs/demo"), help="default: runs/demo"
    )
    cli.add_verb(verbs, "doctor", examine, help="report versions, devices, memory, determinism and what is missing")
    _add_init(verbs)
    lesson = cli.add_verb(verbs, "explain-training", explain_training, help="one page on how a network learns, by hand")
    lesson.add_argument("--app", choices=tuple(APPS), required=True, help="whose question is asked")
    lesson.add_argument("--output", type=pathlib.Path, help="default: explain-training-APP.html")
    list_runs = cli.add_verb(verbs, "runs", show_runs, help="list the runs below a folder; write one page of them")
    list_runs.add_argument("folder", metavar="DIR", nargs="?", type=pathlib.Path, default=pathlib.Path("runs"))
    list_runs.add_argument("--output", type=pathlib.Path, help="the page (default: DIR/index.html)")
    compared = cli.add_verb(verbs, "compare", compare_runs, help="compare runs of one app on the same test rows")
    compared.add_argument("runs", metavar="RUN", nargs="+", type=pathlib.Path, help="the first is the reference")
    compared.add_argument("--output-dir", type=pathlib.Path, default=pathlib.Path("runs/comparison"))
    complete = cli.add_verb(verbs, "completion", completion_of, help="print the completion script of a shell")
    complete.add_argument("shell", choices=SHELLS, help="source <(fieldnets completion bash); fish: | source")
    for verb, examples in EXAMPLES.items():
        verbs.choices[verb].examples = tuple(f"fieldnets {verb} {each}".rstrip() for each in examples)
    return parser


def _add_init(verbs: cli.Verbs) -> None:
    begin = cli.add_verb(verbs, "init", init, help="write a commented config file to begin with, and its schema")
    begin.add_argument(
        "app", metavar="APP", type=lambda name: name.replace("_", "-"), choices=tuple(APPS), help=", ".join(APPS)
    )
    begin.add_argument("--preset", choices=cli.PRESETS, default="quick", help="whose values (default: quick)")
    begin.add_argument("--output", type=pathlib.Path, metavar="FILE", help=".yaml or .json (default: APP.yaml)")
    begin.add_argument("--overwrite", action="store_true", help="replace it if it exists")


def init(arguments: argparse.Namespace) -> cli.Result:
    """Write every setting of an app's preset, with comments, and the schema of such files."""
    from shared import config_files

    app = _app(arguments.app)
    settings = app.config.presets()[arguments.preset]()
    path = arguments.output or pathlib.Path(f"{app.name}.yaml")
    if path.suffix.lower() not in (".yaml", ".yml", ".json"):
        raise errors.InputError(f"--output: expected a name that ends in .yaml or .json. Received: {path}")
    cli.refuse_existing(path, overwrite=arguments.overwrite)
    schema = files.beside(path, ".schema.json", stem=path.stem)
    cli.refuse_existing(schema, overwrite=arguments.overwrite)
    files.write_json(schema, config_files.schema(app.config, title=f"Settings of {app.name}"))
    command = f"{app.name} train --config {path}"
    if path.suffix.lower() == ".json":
        files.write_json(path, {config.SCHEMA: schema.name, **settings.to_json()})
    else:
        head = f"Settings of {app.name}: the preset {arguments.preset}. `{command}` uses them; lines may be left out."
        fields = tuple(app.data_fields)
        files.write_text(path, config_files.commented(settings, head=head, data_fields=fields, schema_file=schema.name))
    return {"config": str(path), "schema": str(schema), "next": command}


def _app(name: str) -> steps.App:
    found: steps.App = importlib.import_module(f"{APPS[name]}.__main__").APP
    return found


def completion_of(arguments: argparse.Namespace) -> cli.Result:
    """Return the completion script of a shell, for all commands."""
    from shared import completion, verbs

    parsers = {"fieldnets": build_parser(), **{name: verbs.build_parser(_app(name)) for name in APPS}}
    return {"text": completion.script(arguments.shell, parsers)}


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


def explain_training(arguments: argparse.Namespace) -> cli.Result:
    """Train a network small enough for one page, and write the page."""
    from apps import explain_training as page

    lesson = importlib.import_module(f"{APPS[arguments.app]}.lesson")
    output = arguments.output or pathlib.Path(f"explain-training-{arguments.app}.html")
    return page.write(lesson.problem(arguments.seed), output, seed=arguments.seed)


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
