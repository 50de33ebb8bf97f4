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
