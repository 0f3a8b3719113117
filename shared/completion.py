"""Completion for bash, zsh and fish: a static script of all verbs and options, made of the parsers themselves.

The shell runs nothing of ours when it completes: a tab answers at once. After an update the script is written anew.
"""

import argparse
import shlex
from collections.abc import Callable, Mapping

from shared import errors, usage

_FUNCTION = """# Completion of {program}; written by `fieldnets completion {shell}`.
_fieldnets_{name}() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" verb="${{COMP_WORDS[1]}}"
    local words="" choices="" named=""
    case "$verb" in
{verbs}
    *) words={all_verbs} ;;
    esac
    [ "$COMP_CWORD" -eq 1 ] && words={all_verbs}
    case "$verb $before" in
{choices}
    esac
    if [ -n "$choices" ]; then
        COMPREPLY=($(compgen -W "$choices" -- "$word"))
    elif [ "$COMP_CWORD" -eq 1 ] || [ "${{word#-}}" != "$word" ]; then
        COMPREPLY=($(compgen -W "$words" -- "$word"))
    elif [ -n "$named" ]; then
        COMPREPLY=($(compgen -W "$named" -- "$word"))
    else
        COMPREPLY=($(compgen -f -- "$word"))
    fi
}}
complete -o filenames -F _fieldnets_{name} {program}
"""
_ZSH = "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"


def bash(parsers: Mapping[str, usage.Parser], *, shell: str = "bash") -> str:
    """Return the script of bash: ``source <(fieldnets completion bash)``.

    Args:
        parsers: Program -> its parser.
        shell: Which shell the comment names.
    """
    return "\n".join(_bash_of(program, parser, shell) for program, parser in parsers.items())


def _bash_of(program: str, parser: usage.Parser, shell: str) -> str:
    verbs = parser.verbs()
    listed = [
        f"    {verb}) words={shlex.quote(' '.join(options(each)))} named={shlex.quote(' '.join(named(each)))} ;;"
        for verb, each in verbs.items()
    ]
    chosen = [
        f"    {shlex.quote(f'{verb} {option}')}) choices={shlex.quote(' '.join(given))} ;;"
        for verb, each in verbs.items()
        for option, given in choices(each).items()
    ]
    return _FUNCTION.format(
        program=program,
        shell=shell,
        name=program.replace("-", "_"),
        verbs="\n".join(listed),
        all_verbs=shlex.quote(" ".join([*verbs, "--help", "--version"])),
        choices="\n".join(chosen) or "    *) ;;",
    )


def zsh(parsers: Mapping[str, usage.Parser]) -> str:
    """Return the script of zsh, which reads bash's by its own ``bashcompinit``."""
    return _ZSH + bash(parsers, shell="zsh")


def fish(parsers: Mapping[str, usage.Parser]) -> str:
    """Return the script of fish: ``fieldnets completion fish | source``."""
    lines: list[str] = []
    for program, parser in parsers.items():
        start = f"complete -c {program}"
        for verb, each in parser.verbs().items():
            help = shlex.quote(_help(each.description or ""))
            lines.append(f"{start} -n __fish_use_subcommand -f -a {verb} -d {help}")
            seen = f"-n '__fish_seen_subcommand_from {verb}'"
            for action in each._actions:
                for option in (name for name in action.option_strings if name.startswith("--")):
                    given = " ".join(map(str, action.choices or _of_metavar(action)))
                    takes = f" -x -a {shlex.quote(given)}" if given else "" if action.nargs == 0 else " -r"
                    about = shlex.quote(_help(action.help or ""))
                    lines.append(f"{start} {seen} -l {option.removeprefix('--')}{takes} -d {about}")
    return "\n".join(lines) + "\n"


def _help(text: str) -> str:
    return text.replace("%%", "%").partition(" (default")[0]


SHELLS: Mapping[str, Callable[[Mapping[str, usage.Parser]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}


def options(parser: argparse.ArgumentParser) -> list[str]:
    """Return the long options of a verb, in the order of its help."""
    return [option for action in parser._actions for option in action.option_strings if option.startswith("--")]


def named(parser: argparse.ArgumentParser) -> list[str]:
    """Return what may stand without an option, where that is some of a few."""
    return [str(each) for action in parser._actions if not action.option_strings for each in action.choices or ()]


def choices(parser: argparse.ArgumentParser) -> dict[str, list[str]]:
    """Return option -> the values that it takes, of those that take some of a few."""
    found: dict[str, list[str]] = {}
    for action in parser._actions:
        given = [str(each) for each in action.choices or _of_metavar(action)]
        found |= {option: given for option in action.option_strings if given and option.startswith("--")}
    return found


def _of_metavar(action: argparse.Action) -> list[str]:
    """Return the choices of a setting, which its metavar names: ``auto|none|mirrored``."""
    named = action.metavar if isinstance(action.metavar, str) else ""
    words = named.split("|")
    return words if len(words) > 1 and named != named.upper() else []


def script(shell: str, parsers: Mapping[str, usage.Parser]) -> str:
    """Return the script of a shell.

    Raises:
        errors.InputError: There is none for it.
    """
    if shell not in SHELLS:
        raise errors.InputError(f"SHELL: expected one of {', '.join(SHELLS)}. Received: {shell!r}")
    return SHELLS[shell](parsers)
