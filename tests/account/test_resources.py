"""What `account template` makes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from iotctl.account import resources
from iotctl.account.check import check
from iotctl.aws import Aws

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Ran


def test_it_is_printed_ready_to_deploy(iotctl: Callable[..., Ran]) -> None:
    """The document itself, or in the envelope; no account is needed, none is named."""
    ran = iotctl("account", "template")
    assert (0, "") == (ran.code, ran.stderr)
    assert json.loads(ran.stdout) == resources.template()
    assert resources.template() == iotctl("account", "template", "-o", "json").envelope["data"]


def test_cloudformation_would_take_it() -> None:
    """cfn-lint, which has CloudFormation's own schemas of each region, finds neither error nor warning."""
    from cfnlint.api import lint

    assert [] == lint(json.dumps(resources.template()), regions=["us-east-1", "eu-central-1", "cn-north-1"])


def test_what_it_attaches_are_policies_of_aws() -> None:
    """Both are in the list that moto keeps of AWS's managed policies."""
    from moto.iam.aws_managed_policies import aws_managed_policies_data

    known = {
        f"arn:${{AWS::Partition}}:iam::aws:policy{policy['Path']}{name}"
        for name, policy in json.loads(aws_managed_policies_data).items()
    }
    attached = [
        arn["Fn::Sub"]
        for resource in resources.template()["Resources"].values()
        for arn in resource["Properties"].get("ManagedPolicyArns", [])
    ]
    assert [True, True] == [arn in known for arn in attached]


def test_aws_iot_takes_the_roles_for_this_account_only() -> None:
    """Every statement that lets AWS IoT in names the account (confused deputy)."""
    roles = {
        resource["Properties"]["RoleName"]: resource["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        for resource in resources.template()["Resources"].values()
        if resource["Type"] == "AWS::IAM::Role"
    }
    assert {"iotctl-job-presign", "iotctl-registration", "iotctl-audit", "iotctl-token-exchange"} == set(roles)
    for name in set(roles) - {"iotctl-token-exchange"}:
        (statement,) = roles[name]
        assert "iot.amazonaws.com" == statement["Principal"]["Service"]
        assert {
            "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}},
            "ArnLike": {"aws:SourceArn": {"Fn::Sub": "arn:${AWS::Partition}:iot:*:${AWS::AccountId}:*"}},
        } == statement["Condition"]


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An account of moto's, in this process: the local platform has neither CloudFormation nor IAM."""
    from moto import mock_aws

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "moto")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "moto")
    # Service Quotas cannot list there.
    monkeypatch.setattr(Aws, "pages", lambda *_, **__: iter([{"Quotas": []}]))
    with mock_aws():
        yield Aws(region="eu-west-1")


def _stack(account: Any, **parameters: str) -> None:
    """Create a stack, without the managed policies: moto takes seconds to load them."""
    document = resources.template()
    for resource in document["Resources"].values():
        resource["Properties"].pop("ManagedPolicyArns", None)
    account.call(
        "cloudformation:CreateStack",
        StackName="iotctl",
        TemplateBody=json.dumps(document),
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    )


def _states(account: Any) -> list[str]:
    return [answer.state for answer in check(account) if answer.check.startswith(("bucket", "role"))]


def _reads_artifacts(account: Any, role: str) -> bool:
    return "iotctl-artifacts" in account.call("iam:ListRolePolicies", RoleName=role)["PolicyNames"]


@pytest.mark.filterwarnings("ignore:.*not supported by moto:UserWarning")  # it knows no bucket policies
def test_what_it_makes_is_what_check_looks_for(account: Any) -> None:
    """A stack of it turns every missing resource into one that is there; a second region needs the roles no more."""
    assert ["missing"] * 5 == _states(account)
    _stack(account)
    assert ["ok"] * 5 == _states(account)
    roles = ("iotctl-job-presign", "iotctl-registration", "iotctl-token-exchange", "iotctl-audit")
    assert [True, True, True, False] == [_reads_artifacts(account, role) for role in roles]

    elsewhere = Aws(region="us-east-1")
    assert ["missing", "ok", "ok", "ok", "missing"] == _states(elsewhere)
    _stack(elsewhere, Roles="existing")
    assert ["ok"] * 5 == _states(elsewhere)


@pytest.mark.filterwarnings("ignore:.*not supported by moto:UserWarning")
def test_cores_that_have_a_role_keep_it(account: Any) -> None:
    """It is granted the artifacts, and no second role or role alias is made."""
    account.call("iam:CreateRole", RoleName="GreengrassV2TokenExchangeRole", AssumeRolePolicyDocument="{}")
    _stack(account, TokenExchangeRole="GreengrassV2TokenExchangeRole")
    assert ["ok", "ok", "ok", "ok", "missing"] == _states(account)
    assert _reads_artifacts(account, "GreengrassV2TokenExchangeRole")
    made = {role["RoleName"] for role in account.call("iam:ListRoles")["Roles"]}
    assert "iotctl-token-exchange" not in made
