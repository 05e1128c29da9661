"""``pidward completion``: scripts for shells, made from the table of commands.

Commands and options are written into the script; names of services are asked for when they are needed.
"""

import sys
from argparse import SUPPRESS, Action, ArgumentParser
from collections.abc import Sequence
from typing import Any, NamedTuple

from pidward.cli import load_command
from pidward.cli.failure import OK
from pidward.cli.here import Here
from pidward.cli.parser import parser_of
from pidward.cli.table import COMMANDS
from pidward.core.signals import signal_name
from pidward.demo.scenes import SCENES

SHELLS = ("bash", "zsh", "fish")
TAKES_NAMES = ("targets", "target")
GLOBAL_OPTIONS = ("--config", "--instance", "--socket", "--json", "--no-color", "--help")


class Words(NamedTuple):
    """What may follow a command."""

    options: tuple[str, ...]
    choices: tuple[str, ...]  # of the first argument, or of all
    names: str  # what to ask ``pidward __complete`` for; empty: nothing
    many: bool = False  # the choices are those of all arguments
    values: tuple[tuple[str, tuple[str, ...]], ...] = ()  # of options that take one: what there is; empty: anything


def options(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("shell", choices=SHELLS, help="the shell")
    parser.epilog = (
        "bash:  pidward completion bash > ~/.local/share/bash-completion/completions/pidward\n"
        "zsh:   pidward completion zsh > ~/.zfunc/_pidward   (with fpath+=~/.zfunc before compinit)\n"
        "fish:  pidward completion fish > ~/.config/fish/completions/pidward.fish"
    )


def run(_here: Here, given: Any) -> int:
    """Print the script."""
    words = {name: _words(name) for name in COMMANDS}
    sys.stdout.write({"bash": bash, "zsh": zsh, "fish": fish}[given.shell](words))
    return OK


def _words(name: str) -> Words:
    parser = parser_of(name, load_command(name))
    shown = [action for action in parser._actions if action.help != SUPPRESS]
    named = tuple(option for action in shown for option in action.option_strings if option.startswith("--"))
    named = tuple(option for option in named if option not in GLOBAL_OPTIONS)
    arguments = [action for action in shown if not action.option_strings]
    choices: tuple[str, ...] = tuple(next((action.choices for action in arguments if action.choices), ()))
    if name == "signal":
        choices = tuple(signal_name(number) for number in range(1, 32))
    if name == "demo":
        return Words(named, tuple(scene.name for scene in SCENES), "", many=True)
    takes_names = any(action.dest in TAKES_NAMES for action in shown)
    names = {"up": "services", "scale": "scales"}.get(name, "targets") if takes_names else ""
    return Words(named, choices, names, values=_values(shown))


def _values(shown: Sequence[Action]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Options that must have a value; ``--rolling [N]`` need not."""
    return tuple(
        (option, tuple(action.choices or ()))
        for action in shown
        for option in action.option_strings
        if action.nargs is None
    )


def bash(commands: dict[str, Words]) -> str:
    """The script for bash."""
    cases = "".join(
        f"    {name}) options='{' '.join(w.options)}' choices='{' '.join(w.choices)}' "
        f"names={w.names} many={w.many:d} ;;\n"
        for name, w in commands.items()
    )
    values = "".join(
        f"    '{name} {option}') COMPREPLY=({_bash_values(name, allowed)}); return ;;\n"
        for name, w in commands.items()
        for option, allowed in w.values
    )
    return f"""\
# bash completion of pidward; made by `pidward completion bash`
_pidward() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}
  local command= at i options= choices= names= many=0
  case $before in
    -c|--config) COMPREPLY=($(compgen -f -- "$word")); return ;;
    --socket) COMPREPLY=($(compgen -f -- "$word")); return ;;
    --instance) return ;;
  esac
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${{COMP_WORDS[i]}} in
      -c|--config|--instance|--socket) ((i++)) ;;
      -*) ;;
      *) command=${{COMP_WORDS[i]}} at=$i; break ;;
    esac
  done
  case $command in
    '') options='--version' choices='{" ".join(commands)} help' ;;
    help) choices='{" ".join(commands)}' ;;
{cases}  esac
  case "$command $before" in
{values}  esac
  if [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "$options {" ".join(GLOBAL_OPTIONS)}" -- "$word"))
    return
  fi
  if [[ -n $choices && ( -z $command || $many == 1 || $((COMP_CWORD - at)) -eq 1 ) ]]; then
    COMPREPLY=($(compgen -W "$choices" -- "$word"))
    if [[ $command == signal && ${{#COMPREPLY[@]}} -eq 0 ]]; then
      COMPREPLY=($(compgen -W "$choices" -- "${{word^^}}") $(compgen -W "$choices" -- "SIG${{word^^}}"))
    fi
  elif [[ -n $names ]]; then
    COMPREPLY=($(compgen -W "$("${{COMP_WORDS[0]}}" __complete $names 2>/dev/null)" -- "$word"))
    [[ $names != scales ]] || compopt -o nospace 2>/dev/null
  elif [[ $command == check ]]; then
    COMPREPLY=($(compgen -f -- "$word"))
  elif [[ $command == run ]]; then
    COMPREPLY=($(compgen -c -- "$word") $(compgen -f -- "$word"))
  fi
}}
complete -F _pidward pidward
"""


def _bash_values(command: str, allowed: Sequence[str]) -> str:
    if allowed:
        return f"""$(compgen -W '{" ".join(allowed)}' -- "$word")"""
    return '$(compgen -f -- "$word")' if command == "run" else ""


def zsh(commands: dict[str, Words]) -> str:
    """The script for zsh."""
    described = "".join(f"    {_quoted(f'{name}:{COMMANDS[name][1]}')}\n" for name in commands)
    cases = "".join(
        f"    {name}) options=({' '.join(w.options)}) choices=({' '.join(w.choices)}) "
        f"names={w.names} many={w.many:d} ;;\n"
        for name, w in commands.items()
    )
    values = "".join(
        f"    '{name} {option}') {_zsh_values(name, allowed)} return ;;\n"
        for name, w in commands.items()
        for option, allowed in w.values
    )
    return f"""\
#compdef pidward
# zsh completion of pidward; made by `pidward completion zsh`
_pidward() {{
  local -a commands options choices
  local command= at=0 names= many=0 i
  commands=(
{described}  )
  for ((i = 2; i < CURRENT; i++)); do
    case $words[i] in
      -c|--config|--instance|--socket) ((i++)) ;;
      -*) ;;
      *) command=$words[i] at=$i; break ;;
    esac
  done
  case $words[CURRENT-1] in
    -c|--config|--socket) _files; return ;;
  esac
  case $command in
    '') [[ $PREFIX == -* ]] || {{ _describe command commands; return }} ;;
    help) _describe command commands; return ;;
{cases}  esac
  case "$command $words[CURRENT-1]" in
{values}  esac
  if [[ $PREFIX == -* ]]; then
    compadd -- $options {" ".join(GLOBAL_OPTIONS)}
  elif (( $#choices && (many || CURRENT - at == 1) )); then
    compadd -M 'm:{{a-z}}={{A-Z}}' -- $choices || [[ $command != signal ]] ||
      compadd -M 'm:{{a-z}}={{A-Z}}' -- ${{choices#SIG}}
  elif [[ $names == scales ]]; then
    compadd -S '' -- ${{(f)"$($words[1] __complete $names 2>/dev/null)"}}
  elif [[ -n $names ]]; then
    compadd -- ${{(f)"$($words[1] __complete $names 2>/dev/null)"}}
  elif [[ $command == check ]]; then
    _files
  elif [[ $command == run ]]; then
    _command_names -e
    _files
  fi
}}
if [[ $funcstack[1] == _pidward ]]; then _pidward "$@"; else compdef _pidward pidward; fi
"""


def _zsh_values(command: str, allowed: Sequence[str]) -> str:
    if allowed:
        return f"compadd -- {' '.join(allowed)};"
    return "_files;" if command == "run" else ""


def fish(commands: dict[str, Words]) -> str:
    """The script for fish."""
    lines = [
        "# fish completion of pidward; made by `pidward completion fish`",
        "complete -c pidward -f",
        "complete -c pidward -s c -l config -r -F -d 'the configuration'",
        "complete -c pidward -l socket -r -F -d 'the control socket'",
        "complete -c pidward -l instance -x -d 'which of several supervisors'",
        "complete -c pidward -l json -d 'print JSON'",
        "complete -c pidward -l no-color -d 'no colours'",
        "complete -c pidward -n __fish_use_subcommand -a help -d 'explain a command'",
        f"complete -c pidward -n '__fish_seen_subcommand_from help' -a '{' '.join(commands)}'",
    ]
    for name, words in commands.items():
        lines.append(f"complete -c pidward -n __fish_use_subcommand -a {name} -d {_quoted(COMMANDS[name][1])}")
        inside = f"complete -c pidward -n '__fish_seen_subcommand_from {name}'"
        seen = f'complete -c pidward -n "__fish_seen_subcommand_from {name}'
        values = dict(words.values)
        for option in words.options:
            allowed = values.get(option)
            value = "" if allowed is None else f" -x -a '{' '.join(allowed)}'" if allowed else " -x"
            lines.append(f"{inside} -l {option[2:]}{' -r -F' if name == 'run' and value else value}")
        if name == "run":
            lines.append(f"{inside} -F -a '(__fish_complete_command)'")
        first = "(count (string match -v -- '-*' (commandline -opc)))"  # words before: the program, the command
        if words.choices:
            only = "" if words.many else f"; and test {first} -eq 2"
            lines.append(f"{seen}{only}\" -a '{' '.join(words.choices)}'")
        if words.names:
            only = f"; and test {first} -gt 2" if words.choices else ""
            lines.append(f"{seen}{only}\" -a '(pidward __complete {words.names} 2>/dev/null)'")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
