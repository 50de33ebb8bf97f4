"""Help of every command: what it does, an example that works, its exit codes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from iotctl import options
from iotctl.cli import CAPABILITIES, GROUPS, command_tree
from iotctl.errors import Exit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Ran

_ROOT: Any = command_tree()


def _commands() -> Iterator[str]:
    for capability in CAPABILITIES:
        for name in _ROOT.commands[capability].commands:
            if (capability, name) not in GROUPS:
                yield f"{capability} {name}"
    for group in GROUPS:
        for name in _command(*group).commands:
            yield " ".join((*group, name))


def _command(*words: str) -> Any:
    found = _ROOT
    for word in words:
        found = found.commands[word]
    return found


_COMMANDS = tuple(_commands())


@pytest.mark.parametrize("words", _COMMANDS)
def test_the_help_of_a_command(iotctl: Callable[..., Ran], words: str) -> None:
    """A sentence, an example of this very command whose options exist, every exit code with its words."""
    ran = iotctl(*words.split(), "--help")
    assert (0, "") == (ran.code, ran.stderr)
    usage, _, rest = ran.stdout.partition("\n\n")
    assert usage.startswith(f"Usage: iotctl {words}")
    assert re.match(r"  [A-Z`].*?[.:]", rest, re.DOTALL), "a summary that is a sentence"
    _, _, epilog = ran.stdout.partition("Examples:\n")
    examples, _, status = epilog.partition("\n\nExit status:\n")
    shown = [line.strip() for line in examples.splitlines()]
    assert any(f"iotctl {words}" in line for line in shown), "an example of it"
    known = {word for parameter in _command(*words.split()).params for word in parameter.opts}
    for line in shown:
        if line.startswith(f"$ iotctl {words}"):
            given = set(re.findall(r"(?<=\s)--?[a-zA-Z][\w-]*", line.split(" | ")[0].split(" > ")[0]))
            assert set() == given - known - set(options.GLOBAL_WORDS)
    codes = {int(found) for found in re.findall(r"^  (\d+) ", status, re.MULTILINE)}
    assert {0, 1, 2} <= codes <= {code.value for code in Exit}
    assert all(Exit(code).meaning in status for code in codes)
    assert "Global options: iotctl --help" in status


@pytest.mark.parametrize("words", ["", "--help", *CAPABILITIES, *(f"{name} --help" for name in CAPABILITIES)])
def test_the_help_above_the_commands(iotctl: Callable[..., Ran], words: str) -> None:
    """Nothing but a name is asking for help; the global options are explained there."""
    ran = iotctl(*words.split())
    assert (0, "") == (ran.code, ran.stderr)
    assert ran.stdout.startswith("Usage: iotctl")
    assert options.GLOBAL_HELP in ran.stdout
    asked = words.removesuffix("--help").strip()
    for name in _ROOT.commands[asked].commands if asked else CAPABILITIES:
        assert re.search(rf"^  {name} ", ran.stdout, re.MULTILINE)


def test_a_change_can_be_tried_dry() -> None:
    """Every command that returns a plan has --dry-run, and no option takes a secret or turns TLS off."""
    for words in _COMMANDS:
        command = _command(*words.split())
        known = {word for parameter in command.params for word in parameter.opts}
        assert ("--dry-run" in known) == isinstance(command, options.Change)
        assert not re.search("password|secret|insecure|no-verify|skip-tls", " ".join(known))
