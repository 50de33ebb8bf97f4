"""What the commands need of an account, and whether it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import typer.main

from iotctl.account import needs
from iotctl.aws import service_model
from iotctl.cli import application
from iotctl.errors import Denied, Temporary, Unsupported
from iotctl.semantics import permissions
from iotctl.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.target import Platform
    from tests.conftest import Ran


class _Account:
    """Answers by operation; an error is raised."""

    target = Target("aws", "123456789012", "us-east-1")
    identity = "arn:aws:iam::123456789012:user/me"

    def __init__(self, **answers: Any) -> None:
        self._answers = {
            "DescribeEndpoint": {"endpointAddress": "e"},
            "GetIndexingConfiguration": {"thingIndexingConfiguration": {"thingIndexingMode": "REGISTRY"}},
            **answers,
        }

    def call(self, op: str, **_: Any) -> Any:
        answer = self._answers.get(op.partition(":")[2], {})
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.parametrize(
    ("answers", "check", "state", "detail"),
    [
        ({}, "data endpoint", "ok", "e"),
        ({}, "registry", "ok", "iot:ListThings is allowed"),
        ({}, "fleet indexing", "ok", "REGISTRY"),
        ({"GetIndexingConfiguration": {}}, "fleet indexing", "missing", "update-indexing-configuration"),
        ({"ListThings": Denied("no")}, "registry", "missing", "iotctl account iam iot:ListThings"),
        ({"ListPolicies": Unsupported("no")}, "policies", "unknown", "not built on this platform"),
        ({"DescribeEndpoint": Temporary("it is down")}, "data endpoint", "unknown", "it is down"),
    ],
)
def test_every_check_ends_in_one_word(answers: dict[str, Any], check: str, state: str, detail: str) -> None:
    """Ok, missing, or unknown: what could not be read is never called ok."""
    account: Any = _Account(**answers)
    found = {answer.check: answer for answer in needs.check(account)}
    assert ["identity", "data endpoint", "registry", "policies", "fleet indexing"] == list(found)
    assert (state, True) == (found[check].state, detail in found[check].detail)


@pytest.mark.parametrize("command", needs.OPERATIONS)
def test_every_operation_exists(command: str) -> None:
    """A misspelt one would be missing in the IAM policy."""
    of_mqtt = {"iot:Connect", "iot:Receive", "iot:Subscribe"}  # IAM allows them, and they are no HTTP operations
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


def test_the_account_of_the_local_platform(iotctl: Callable[..., Ran], platform: Platform) -> None:
    """`account check` says who and where, and is incomplete where something cannot be read."""
    ran = iotctl("account", "check", "-o", "json")
    checks = {check["check"]: check["state"] for check in ran.envelope["data"]["checks"]}
    assert platform.account_id == ran.envelope["data"]["target"]["accountId"]
    assert ("ok", "ok", "ok") == (checks["identity"], checks["data endpoint"], checks["registry"])
    assert ran.code == (0 if set(checks.values()) == {"ok"} else 3)


def test_every_command_that_calls_aws_has_its_policy() -> None:
    """`account iam` knows each command of the capabilities, but those that stay on this machine."""
    offline = {"onboard check", "onboard status", "account iam", "audit checks"}
    tree: Any = typer.main.get_command(application())
    known = {
        f"{group} {name}" for group, commands in tree.commands.items() if group != "local" for name in commands.commands
    }

    assert known - offline == set(needs.OPERATIONS)
