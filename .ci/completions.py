"""Write completions/ from the command tree: static words, so that a shell completes without starting Python."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from iotctl.cli import command_tree
from iotctl.options import FORMATS, GLOBAL_WORDS

HEADER = "# Generated from the command tree by .ci/completions.py; do not edit."


def tree() -> dict[str, tuple[list[str], str]]:
    """Command words -> (the words that may follow, its one-line help)."""
    found: dict[str, tuple[list[str], str]] = {}

    def walk(command: Any, words: str) -> None:
        options = sorted(
            name for parameter in command.params for name in getattr(parameter, "opts", ()) if name.startswith("--")
        )
        children = getattr(command, "commands", {})
        help_line = (command.get_short_help_str(200) or "").replace("'", "")
        found[words] = ([*sorted(children), *options, "--help"], help_line)
        for name, child in children.items():
            walk(child, f"{words} {name}".strip())

    walk(command_tree(), "")
    return found


def bash(commands: dict[str, tuple[list[str], str]]) -> str:
    """The bash completion: one `case` over the command words."""
    cases = "\n".join(f'    "{words}") known="{" ".join(follow)}" ;;' for words, (follow, _) in commands.items())
    values = " ".join(GLOBAL_WORDS)
    known = " ".join(sorted({word for words in commands for word in words.split()}))
    return f"""{HEADER}
_iotctl() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}" words="" word known
  case "$previous" in
    -o|--output) COMPREPLY=($(compgen -W "{" ".join(FORMATS)}" -- "$current")); return ;;
  esac
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$word" in -*) ;; *) case " {known} " in *" $word "*) words="${{words:+$words }}$word" ;; esac ;; esac
  done
  case "$words" in
{cases}
    *) known="" ;;
  esac
  COMPREPLY=($(compgen -W "$known {values}" -- "$current"))
  [ ${{#COMPREPLY[@]}} -gt 0 ] || COMPREPLY=($(compgen -f -- "$current"))
}}
complete -o filenames -F _iotctl iotctl
"""


def zsh(commands: dict[str, tuple[list[str], str]]) -> str:
    """The zsh completion: the same words, for `compadd`."""
    cases = "\n".join(f"    '{words}') known=({' '.join(follow)}) ;;" for words, (follow, _) in commands.items())
    known = "|".join(sorted({word for words in commands for word in words.split()}))
    return f"""#compdef iotctl
{HEADER}
local -a known path_words
local word
for word in "${{words[@]:1:$((CURRENT-2))}}"; do
  case "$word" in {known}) path_words+=("$word") ;; esac
done
case "${{words[CURRENT-1]}}" in
  -o|--output) compadd {" ".join(FORMATS)}; return ;;
esac
case "${{path_words[*]}}" in
{cases}
    *) known=() ;;
esac
compadd -- $known {" ".join(GLOBAL_WORDS)}
_files
"""


def fish(commands: dict[str, tuple[list[str], str]]) -> str:
    """The fish completion: one line for each word that may follow, with its help."""
    lines = [HEADER, "function __iotctl_at --argument-names wanted", "  set -l words (commandline -opc)"]
    lines += [
        "  set -l typed (string match -v -- '-*' $words[2..] | string join ' ')",
        '  test "$typed" = "$wanted"',
        "end",
    ]
    for words, (follow, _) in commands.items():
        for word in follow:
            condition = f"__iotctl_at '{words}'"
            if word.startswith("--"):
                lines.append(f'complete -c iotctl -n "{condition}" -l {word[2:]}')
            else:
                help_line = commands[f"{words} {word}".strip()][1]
                lines.append(f"complete -c iotctl -f -n \"{condition}\" -a {word} -d '{help_line}'")
    lines.append(f"complete -c iotctl -s o -l output -x -a '{' '.join(FORMATS)}'")
    return "\n".join(lines) + "\n"


def main(directory: Path) -> None:
    """Write the three files."""
    commands = tree()
    for name, text in (("iotctl.bash", bash(commands)), ("_iotctl", zsh(commands)), ("iotctl.fish", fish(commands))):
        (directory / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "completions")
