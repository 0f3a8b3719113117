"""``fieldnets``: what spans the apps. ``demo`` runs all of them on embedded data; ``doctor`` looks at this machine."""

import argparse
import importlib
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from shared import cli, config, errors, steps, usage

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
    from shared import config_files, files

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
