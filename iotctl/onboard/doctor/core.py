"""What a Greengrass core needs besides: a role alias, its role, and that role's grant on the artifacts; read only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from iotctl.errors import Error, NotFound, Unsupported
from iotctl.onboard.doctor.check import Check, guarded, ok, problem, skipped
from iotctl.semantics import assumable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from iotctl.aws import Aws

POLICY: Final = "iotctl-greengrass-core"
_PROVIDER: Final = "credentials.iot.amazonaws.com"
_FETCH: Final = "s3:GetObject"
_NO_IAM: Final = "there is no IAM here: every role may be taken, and may do what it is asked"


def is_core(aws: Aws, thing_name: str, policies: Mapping[str, str]) -> bool:
    """Whether it is a core device: AWS knows it as one, or it has a core's policy."""
    if POLICY in policies:
        return True
    try:
        aws.call("greengrassv2:GetCoreDevice", coreDeviceThingName=thing_name)
    except Error:
        return False  # not known as one; a missing permission is no reason to look for what other things do not have
    return True


def roles(aws: Aws, role_alias: str) -> Iterator[Check]:
    """The role alias, the token exchange role behind it, and whether that may fetch artifacts."""
    try:
        described = aws.call("iot:DescribeRoleAlias", roleAlias=role_alias)["roleAliasDescription"]
    except NotFound:
        alone = f"aws iot create-role-alias --role-alias {role_alias} --role-arn ROLE"
        yield problem(
            "role alias", f"there is no role alias {role_alias}", f"iotctl account template makes it; {alone}"
        )
        yield skipped("role", "needs the role alias")
        yield skipped("artifacts", "needs the role alias")
        return
    arn = str(described["roleArn"])
    yield ok("role alias", f"{role_alias} stands for {arn}")
    if aws.target.kind == "local":
        yield skipped("role", _NO_IAM)
        yield skipped("artifacts", _NO_IAM)
        return
    yield from guarded("role", lambda: _assumable(aws, arn))
    yield from guarded("artifacts", lambda: _grant(aws, arn))


def _assumable(aws: Aws, arn: str) -> Check:
    try:
        role = aws.call("iam:GetRole", RoleName=arn.rpartition("/")[2])["Role"]
    except NotFound:
        return problem("role", f"the role {arn} is gone", "iotctl account template makes it")
    return trusts(role, aws.target.account_id)


def trusts(role: Mapping[str, Any], account_id: str) -> Check:
    """Whether AWS IoT's credential provider may take a role for a core; what else trusts it is the audit's matter."""
    fault = assumable.fault(role, _PROVIDER, account_id)
    if fault and not fault.by_others_too:
        fix = "aws iam update-assume-role-policy --role-name NAME --policy-document file://trust.json"
        return problem("role", f"{role['Arn']}: {fault.words}", fix.replace("NAME", role["RoleName"]))
    return ok("role", f"{_PROVIDER} may take {role['Arn']}")


def _grant(aws: Aws, arn: str) -> Check:
    bucket = aws.target.bucket
    resource = f"arn:{aws.target.partition}:s3:::{bucket}/any"
    try:
        answer = aws.call(
            "iam:SimulatePrincipalPolicy", PolicySourceArn=arn, ActionNames=[_FETCH], ResourceArns=[resource]
        )
    except (NotFound, Unsupported):
        return skipped("artifacts", "needs the role")
    return granted(answer, arn, bucket)


def granted(answer: Mapping[str, Any], arn: str, bucket: str) -> Check:
    """Whether SimulatePrincipalPolicy finds the role allowed to fetch artifacts."""
    if all(one["EvalDecision"] == "allowed" for one in answer["EvaluationResults"]):
        return ok("artifacts", f"the role may {_FETCH} from {bucket}")
    name = arn.rpartition("/")[2]
    grant = f"iotctl account template, deployed with TokenExchangeRole={name}, grants it"
    return problem("artifacts", f"the role {arn} may not {_FETCH} from {bucket}", grant)
