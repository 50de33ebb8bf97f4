"""Whether cores can fetch a model: the bucket, and the grant of their token exchange role. Read-only."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from iotctl.errors import Denied, NotFound, Unsupported, Usage
from iotctl.infer.actions import THING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from iotctl.aws import Aws

FEW: Final = 20
"""Role aliases that are looked at."""
FEW_CORES: Final = 5
"""Core devices whose policies are asked."""
_MOST_QUESTIONS: Final = 10
"""Of one TestAuthorization."""


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


def core_policies(
    aws: Aws, thing_names: Sequence[str], publishes: Sequence[str], subscribes: Sequence[str]
) -> Iterator[str]:
    """What the policies of the cores' own certificates do not let a component do, as warnings with what would.

    A component publishes by its core's connection (on `local`, with its certificate): the recipe's grant is not enough.
    """
    for name in thing_names[:FEW_CORES]:
        wanted = [("PUBLISH", "topic", topic.replace(THING, name)) for topic in publishes]
        wanted += [("SUBSCRIBE", "topicfilter", topic.replace(THING, name)) for topic in subscribes]
        asked = [
            {"actionType": action, "resources": [aws.target.arn(f"{kind}/{topic}")]} for action, kind, topic in wanted
        ][:_MOST_QUESTIONS]
        try:
            refused = _not_allowed(aws, name, asked)
        except (Denied, NotFound, Unsupported) as error:
            yield f"whether {name} may publish to {wanted[0][2]} could not be checked ({error.code})"
            return
        for one in refused:
            allowed = {"Effect": "Allow", "Action": f"iot:{one['actionType'].title()}", "Resource": one["resources"][0]}
            yield f"the policies of {name} do not allow this: attach one to its certificate with {json.dumps(allowed)}"


def _not_allowed(aws: Aws, name: str, asked: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of these questions those that no certificate of a thing is allowed."""
    refused = list(asked)
    for principal in aws.call("iot:ListThingPrincipals", thingName=name).get("principals", ()):
        answer = aws.call("iot:TestAuthorization", principal=principal, clientId=name, authInfos=asked)
        allowed = [one["authInfo"] for one in answer["authResults"] if one["authDecision"] == "ALLOWED"]
        refused = [one for one in refused if one not in allowed]
    return refused


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
