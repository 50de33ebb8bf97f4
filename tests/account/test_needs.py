"""What the commands need of an account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from iotctl.account import needs
from iotctl.aws import service_model
from iotctl.cli import GROUPS, command_tree
from iotctl.semantics import permissions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Ran


@pytest.mark.parametrize("command", needs.OPERATIONS)
def test_every_operation_exists(command: str) -> None:
    """A misspelt one would be missing in the IAM policy."""
    of_mqtt = {
        "iot:Connect",
        "iot:Publish",
        "iot:Receive",
        "iot:Subscribe",
    }  # IAM allows them, and they are no HTTP operations
    for op in set(needs.OPERATIONS[command]) - of_mqtt:
        service, _, operation = op.partition(":")
        assert operation in service_model(service).operation_names, op


def test_the_iam_policy_of_a_command_is_ready_to_attach(iotctl: Callable[..., Ran]) -> None:
    """By command or by operations; an unknown command lists those that are known. Nothing is called."""
    ran = iotctl("account", "iam", "onboard", "apply", "-o", "json")
    assert (0, permissions.policy(needs.OPERATIONS["onboard apply"])) == (ran.code, ran.envelope["data"])
    assert ["iot:CreateThing"] == iotctl("account", "iam", "iot:CreateThing", "-o", "json").envelope["data"][
        "Statement"
    ][0]["Action"]
    refused = iotctl("account", "iam", "make", "coffee")
    assert (2, True) == (refused.code, "one of: onboard plan" in refused.stderr)
    assert "iotctl account iam onboard apply" in iotctl("account", "iam", "onboard", "aply").stderr


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("onboard apply", ("--adopt", "--verify", "--ca", "registered")),
        ("onboard apply aws-bulk", ("--ca", "registered", "--engine", "aws-bulk")),
        ("onboard apply jitp", ("--ca", "registered", "--engine", "jitp")),
    ],
)
@pytest.mark.usefixtures("platform")
def test_the_policy_of_a_command_allows_what_its_options_do(
    iotctl: Callable[..., Ran], tmp_path: Path, command: str, options: tuple[str, ...]
) -> None:
    """What a run with them says that it needs."""
    (tmp_path / "fleet.csv").write_text("thing_name,thing_type,thing_groups,shadow:a\nneeds-1,kind,here,\n")
    words = ("--bundles", str(tmp_path / "out"), "--dry-run", "-o", "json")
    ran = iotctl("onboard", "apply", str(tmp_path / "fleet.csv"), *words, *options)
    allowed = permissions.actions({**needs.OPERATIONS, **needs.VARIANTS}[command])
    assert set() == set(ran.envelope["data"]["iamActions"]) - set(allowed)


def test_every_command_that_calls_aws_has_its_policy() -> None:
    """`account iam` knows each command of the capabilities, but those that stay on this machine."""
    offline = {"onboard check", "onboard status", "account iam", "account template", "audit checks"}
    offline |= {"ota handler", "ota keygen"}
    tree: Any = command_tree()
    known = {
        f"{group} {name}" for group, commands in tree.commands.items() if group != "local" for name in commands.commands
    }
    for group, name in GROUPS:
        known.remove(f"{group} {name}")
        known |= {f"{group} {name} {word}" for word in tree.commands[group].commands[name].commands}

    assert known - offline == set(needs.OPERATIONS)
