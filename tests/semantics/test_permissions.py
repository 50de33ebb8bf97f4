"""Operation -> the IAM actions that it needs."""

from __future__ import annotations

from iotctl.semantics import permissions
from tests import vectors


@vectors.rows(
    ("operations", "actions"),
    [
        (["iot:AttachPolicy"], ("iot:AttachPolicy",)),
        (["iot-data:UpdateThingShadow"], ("iot:UpdateThingShadow",)),
        (["iot:CreatePolicy"], ("iot:CreatePolicy", "iot:TagResource")),
        (["s3:HeadObject", "s3:GetObject"], ("s3:GetObject",)),
        (["service-quotas:ListServiceQuotas"], ("servicequotas:ListServiceQuotas",)),
        (["file:PublishBundle", "sts:GetCallerIdentity"], ()),
        (["iot:DescribeThing", "iot:CreateThing", "iot:DescribeThing"], ("iot:CreateThing", "iot:DescribeThing")),
    ],
)
def test_actions_of_operations(operations: list[str], actions: tuple[str, ...]) -> None:
    """Sorted, each once; the data plane is allowed as `iot`, effects on this machine need nothing."""
    assert actions == permissions.actions(operations)


def test_policy_allows_these_actions_only() -> None:
    """The document is ready to attach."""
    assert {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": ["iot:GetThingShadow"], "Resource": "*"}],
    } == permissions.policy(["iot-data:GetThingShadow"])
