"""How the command line helps: options in groups, a newcomer's first, examples, and what a wrong word was meant to be.

`Parser` stands in the place of ``argparse.ArgumentParser``; nothing else is imported: ``--help`` answers at once.
"""

import argparse
import difflib
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from shared import errors

# Destinations of the options that a newcomer needs, in this order; ``--help`` shows them before all others.
COMMON = (
    *("run_dir", "model_dir", "data", "output", "output_dir", "preset", "config"),
    *("epochs", "split", "format", "engine", "port", "trials", "resume", "overwrite", "quiet", "json"),
)
MOST_COMMON = 10
# Of each verb, what follows the program's name; {input} is what an app predicts, {run} its usual run folder.
EXAMPLES = {
    "data": ("data --data {source}", "data --data {source} --preset quick --output-dir runs/data"),
    "train": ("train --preset quick", "train --data {source} --run-dir {run}"),
    "evaluate": ("evaluate --run-dir {run}", "evaluate --run-dir {run} --data {other}"),
    "explain": ("explain --run-dir {run} {one} --output why.html", "explain {one} --output why.html"),
    "predict": (
        "predict --run-dir {run} {input} --output predictions.csv",
        "predict --model-dir bundles/{name} {input} --output predictions.parquet --resume",
    ),
    "export": (
        "export --run-dir {run} --output-dir bundles",
        "export --run-dir {run} --output-dir bundles --format saved-model,onnx",
    ),
    "serve": ("serve --model-dir bundles/{name}", "serve --model-dir bundles/{name} --host 0.0.0.0 --port 9000"),
    "monitor": (
        "monitor --model-dir bundles/{name} --data {other}",
        "monitor --model-dir bundles/{name} --data {other} --output-dir runs/drift",
    ),
    "tune": ("tune --preset quick --trials 10", "tune --data {source} --trials 40 --workers 2 --prune"),
}
WORDS = {
    "texts": {"source": "reviews.csv", "other": "newer.csv", "input": "texts.csv", "one": '"Not bad at all."'},
    "rows": {"source": "payments.csv", "other": "newer.csv", "input": "payments.csv", "one": "payments.csv:17"},
    "images": {"source": "images/", "other": "newer/", "input": "images/", "one": "image.png"},
}


class Parser(argparse.ArgumentParser):
    """A parser that says in one line what is wrong, and what was probably meant.

    Attributes:
        examples: Command lines that ``--help`` ends with.
    """

    examples: Sequence[str] = ()

    def error(self, message: str) -> NoReturn:
        """Print the message and leave."""
        meant = self._meant(message)
        self.exit(
            errors.InputError.exit_code, f"{self.prog}: {message}{meant} (`{self.prog} --help` shows the usage)\n"
        )

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse; an option that the verb does not have is the verb's error, not the program's."""
        found, strange = self.parse_known_args(args, namespace)
        if strange:
            words = sys.argv[1:] if args is None else args
            self._verb(words).error(f"unrecognized arguments: {' '.join(strange)}")
        return found

    def _verb(self, words: Sequence[str]) -> "Parser":
        verbs = self.verbs()
        return next((verbs[word] for word in words if word in verbs), self)

    def verbs(self) -> dict[str, "Parser"]:
        """Return the parsers of the verbs, by name; none where this is a verb's."""
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                return dict(action.choices)
        return {}

    def _meant(self, message: str) -> str:
        """Return what was meant by the wrong word of a message: an option, a verb or a choice.

        >>> parser = Parser(prog="app")
        >>> _ = parser.add_argument("--epochs"), parser.add_argument("--mode", choices=["fast", "slow"])
        >>> parser._meant("unrecognized arguments: --epoch 3")
        '; did you mean --epochs?'
        >>> parser._meant("argument --mode: invalid choice: 'fsat' (choose from fast, slow)")
        '; did you mean fast?'
        """
        _, colon, rest = message.partition("unrecognized arguments: ")
        if colon:
            wrong = next((word.partition("=")[0] for word in rest.split() if word.startswith("--")), "")
            known = [option for action in self._actions for option in action.option_strings]
        else:
            wrong = message.partition("invalid choice: ")[2].partition("'")[2].partition("'")[0]
            named = message.partition("argument ")[2].partition(":")[0]
            known = [
                str(choice)
                for action in self._actions
                if action.choices is not None and named in ("/".join(action.option_strings), str(action.metavar))
                for choice in action.choices
            ]
        close = difflib.get_close_matches(wrong, known, n=1) if wrong else []
        return f"; did you mean {close[0]}?" if close else ""

    def format_help(self) -> str:
        """Return the help: how it is called, the common options, then all others in their groups, and examples."""
        formatter = self._get_formatter()
        formatter.add_usage(self.usage or self._short_usage(), self._actions, self._mutually_exclusive_groups)
        formatter.add_text(self.description)
        common = self._common()
        if common:
            formatter.start_section("common options")
            formatter.add_arguments(common)
            formatter.end_section()
        for group in self._action_groups:
            formatter.start_section("further options" if common and group is self._optionals else group.title)
            formatter.add_text(group.description)
            formatter.add_arguments([action for action in group._group_actions if action not in common])
            formatter.end_section()
        formatter.add_text(self.epilog)
        examples = "".join(f"  {each}\n" for each in self.examples)
        return formatter.format_help() + (f"\nexamples:\n{examples}" if examples else "")

    def _short_usage(self) -> str | None:
        """Return a usage without the options, where they are more than a reader takes in; None: argparse's own."""
        optional = [action for action in self._actions if action.option_strings]
        if len(optional) <= MOST_COMMON:
            return None
        required = [
            f"{each.option_strings[0]} {each.metavar or each.dest.upper()}" for each in optional if each.required
        ]
        others = [str(each.metavar or each.dest.upper()) for each in self._actions if not each.option_strings]
        return " ".join(["%(prog)s", *required, "[OPTIONS]", *others])

    def _common(self) -> list[argparse.Action]:
        """Return the options that are shown first, where there are so many that it helps."""
        optional = {action.dest: action for action in self._actions if action.option_strings}
        if len(optional) <= MOST_COMMON:
            return []
        return [optional[name] for name in COMMON if name in optional][:MOST_COMMON]


def examples(verb: str, program: str, takes: str) -> tuple[str, ...]:
    """Return two command lines of a verb of an app.

    >>> examples("export", "sentiment", "texts")[0]
    'sentiment export --run-dir runs/sentiment --output-dir bundles'

    Args:
        verb: Its name.
        program: The app's command.
        takes: What an input of its model is, see ``steps.App``.
    """
    words = {**WORDS[takes], "run": f"runs/{program}", "name": program.replace("-", "_")}
    return tuple(f"{program} {each.format(**words)}" for each in EXAMPLES.get(verb, ()))
