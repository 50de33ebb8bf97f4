"""Whether cores can fetch a model: the bucket, and the grant of their token exchange role. Read-only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from iotctl.errors import Denied, NotFound, Unsupported, Usage

if TYPE_CHECKING:
    from iotctl.aws import Aws

FEW: Final = 20
"""Role aliases that are looked at."""


def bucket(aws: Aws, name: str) -> None:
    """Refuse a bucket that is not there, or is somebody else's.

    Raises:
        NotFound: it is not there, with how to make it. Denied: it may not be used.

    """
    if "." in name:
        raise Usage(f"Greengrass takes no artifacts from a bucket with a dot in its name: {name}")
    try:
        aws.call("s3:HeadBucket", Bucket=name, ExpectedBucketOwner=aws.target.account_id)
    except NotFound as error:
        raise NotFound(
            f"there is no bucket {name} for the artifacts",
            hint=f"iotctl account template makes it; or, alone: aws s3 mb s3://{name}; or --bucket NAME",
            on=name,
        ) from error


def token_exchange(aws: Aws, bucket_name: str, action: str, key: str) -> tuple[str, ...]:
    """Why cores may not be allowed an action on a key of a bucket, as warnings; none where a role is sure to be.

    Which role alias a core takes is in its own configuration, so every role alias of the account is looked at.
    """
    if aws.target.kind == "local":
        return ()  # there is no IAM here that could refuse it
    told = f"the cores' token exchange role must be allowed {action} on {bucket_name}"
    try:
        pages = aws.pages("iot:ListRoleAliases")
        aliases = [alias for page in pages for alias in page.get("roleAliases", ())]
        if not aliases:
            return ("there is no role alias, and Greengrass cores need one: iotctl account template makes it",)
        refused = [words for alias in aliases[:FEW] if (words := _refused(aws, alias, f"{bucket_name}/{key}", action))]
    except (Denied, Unsupported) as error:
        return (f"{told}; it could not be checked ({error.code})",)
    if len(refused) < len(aliases):
        return ()
    return (f"{told}, and is not: {'; '.join(refused)} (iotctl account template TokenExchangeRole=NAME grants it)",)


def _refused(aws: Aws, alias: str, place: str, action: str) -> str:
    """Why a role alias' role may not do this; nothing where it may."""
    described = aws.call("iot:DescribeRoleAlias", roleAlias=alias)["roleAliasDescription"]
    role = str(described["roleArn"])
    resource = f"arn:{aws.target.partition}:s3:::{place}"
    try:
        answer = aws.call(
            "iam:SimulatePrincipalPolicy", PolicySourceArn=role, ActionNames=[action], ResourceArns=[resource]
        )
    except NotFound:
        return f"{alias}: its role {role} is gone"
    denied = [one["EvalActionName"] for one in answer["EvaluationResults"] if one["EvalDecision"] != "allowed"]
    return f"{alias} ({role}) is refused {', '.join(denied)}" if denied else ""
