"""Operation -> the IAM actions that it needs, dependent ones too.

Most operations are allowed by the action of their own name. The exceptions, and what an operation touches besides, are
from the Service Authorization Reference (AWS IoT, AWS IoT Greengrass V2, Amazon S3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_OF_READING: Final = ("DescribeJob", "DescribeThing", "DescribeThingGroup", "GetThingShadow")
_OF_DEPLOYMENTS: Final = (*_OF_READING, "CancelJob", "DeleteThingShadow", "UpdateJob", "UpdateThingShadow")
_CORES: Final = (
    "greengrass:GetCoreDevice",
    "greengrass:ListCoreDevices",
    "greengrass:ListEffectiveDeployments",
    "iot:DescribeJob",
    "iot:DescribeJobExecution",
)
_IN_BULK: Final = (
    "iam:PassRole",
    "iot:DescribeThingRegistrationTask",
    "iot:ListThingRegistrationTaskReports",
    "iot:ListThingRegistrationTasks",
    "iot:StartThingRegistrationTask",
    "s3:PutObject",
)

_NEEDS: Final[dict[str, tuple[str, ...]]] = {
    # The data plane of AWS IoT signs as `iotdata` and is allowed as `iot`.
    "iot-data:GetConnection": ("iot:GetConnection",),
    "iot-data:GetThingShadow": ("iot:GetThingShadow",),
    "iot-data:UpdateThingShadow": ("iot:UpdateThingShadow",),
    "iot-data:DeleteThingShadow": ("iot:DeleteThingShadow",),
    "iot-data:ListNamedShadowsForThing": ("iot:ListNamedShadowsForThing",),
    "iot-data:Publish": ("iot:Publish",),
    "s3:HeadObject": ("s3:GetObject",),
    "s3:HeadBucket": ("s3:ListBucket",),
    "s3:CompleteMultipartUpload": ("s3:PutObject",),
    "s3:CreateMultipartUpload": ("s3:PutObject",),
    "s3:ListMultipartUploads": ("s3:ListBucketMultipartUploads",),
    "s3:ListParts": ("s3:ListMultipartUploadParts",),
    "s3:UploadPart": ("s3:PutObject",),
    # The effect of a plan that is several operations: iotctl.upload.
    "s3:Upload": (
        "s3:AbortMultipartUpload",
        "s3:GetObject",
        "s3:ListBucket",
        "s3:ListBucketMultipartUploads",
        "s3:ListMultipartUploadParts",
        "s3:PutObject",
    ),
    # The effect of a plan that puts a rollout's record, or reads the one that is there: iotctl.ota.agreement.
    "ota:AgreeOnRecord": ("s3:GetObject", "s3:PutObject"),
    "s3:ListObjectsV2": ("s3:ListBucket",),
    # Greengrass V2 is allowed as `greengrass`; what its operations do with jobs and shadows is done as the caller.
    "greengrassv2:CreateComponentVersion": ("greengrass:CreateComponentVersion", "s3:GetObject"),
    "greengrassv2:CreateDeployment": (
        "greengrass:CreateDeployment",
        "greengrass:TagResource",
        *(f"iot:{action}" for action in (*_OF_DEPLOYMENTS, "CreateJob")),
    ),
    "greengrassv2:DescribeComponent": ("greengrass:DescribeComponent",),
    "greengrassv2:GetComponent": ("greengrass:GetComponent",),
    "greengrassv2:GetCoreDevice": ("greengrass:GetCoreDevice",),
    "greengrassv2:GetDeployment": ("greengrass:GetDeployment", *(f"iot:{action}" for action in _OF_READING)),
    "greengrassv2:ListComponentVersions": ("greengrass:ListComponentVersions",),
    "greengrassv2:ListCoreDevices": ("greengrass:ListCoreDevices",),
    "greengrassv2:ListDeployments": ("greengrass:ListDeployments", *(f"iot:{action}" for action in _OF_READING)),
    "greengrassv2:ListEffectiveDeployments": (
        "greengrass:ListEffectiveDeployments",
        "iot:DescribeJob",
        "iot:DescribeJobExecution",
        "iot:DescribeThing",
        "iot:DescribeThingGroup",
        "iot:GetThingShadow",
    ),
    "greengrassv2:ListInstalledComponents": ("greengrass:ListInstalledComponents",),
    # The effects of a bulk registration: iotctl.onboard.effects.
    "onboard:RegisterInBulk": _IN_BULK,
    "onboard:RegisterRequestsInBulk": (
        *_IN_BULK,
        "iot:DescribeCertificate",
        "iot:DescribeThing",
        "iot:ListThingPrincipals",
    ),
    # Those of a rotation: iotctl.onboard.connections, executions.
    "onboard:WatchConnections": ("iot:Connect", "iot:DescribeEndpoint", "iot:Receive", "iot:Subscribe"),
    "onboard:Connected": (),
    "onboard:WatchJobs": ("iot:DescribeJob", "iot:DescribeJobExecution", "iot:ListJobExecutionsForJob"),
    # The effects of a push: iotctl.infer.effects.
    "infer:Deployable": ("greengrass:DescribeComponent",),
    "infer:Listen": ("iot:Connect", "iot:DescribeEndpoint", "iot:Receive", "iot:Subscribe"),
    "infer:Judge": _CORES,
    "infer:Await": _CORES,
    # The service's prefix in IAM has no hyphen.
    "service-quotas:ListServiceQuotas": ("servicequotas:ListServiceQuotas",),
    # The role that audits read with is handed over.
    # So is that in which alarms are told (device-defender-detect-permissions).
    "iot:CreateSecurityProfile": ("iam:PassRole", "iot:CreateSecurityProfile"),
    "iot:UpdateSecurityProfile": ("iam:PassRole", "iot:UpdateSecurityProfile"),
    "iot:UpdateAccountAuditConfiguration": ("iam:PassRole", "iot:UpdateAccountAuditConfiguration"),
    # A job whose document holds presigned URLs hands AWS IoT a role; creating with tags is tagging too.
    "iot:CreateJob": ("iam:PassRole", "iot:CreateJob", "iot:TagResource"),
    "iot:CreatePolicy": ("iot:CreatePolicy", "iot:TagResource"),
    "iot:CreateThingGroup": ("iot:CreateThingGroup", "iot:TagResource"),
    "iot:CreateThingType": ("iot:CreateThingType", "iot:TagResource"),
    "iot:CreateBillingGroup": ("iot:CreateBillingGroup", "iot:TagResource"),
    "iot:RegisterCACertificate": ("iot:RegisterCACertificate", "iot:TagResource"),
    "iot:StartThingRegistrationTask": ("iam:PassRole", "iot:StartThingRegistrationTask"),
    # No IAM permission is needed for one's own identity.
    "sts:GetCallerIdentity": (),
}


def actions(operations: Iterable[str]) -> tuple[str, ...]:
    """The IAM actions of these operations, sorted, each once. Effects on this machine (`file:…`) need none."""
    return tuple(
        sorted({action for op in operations if not op.startswith("file:") for action in _NEEDS.get(op, (op,))})
    )


def policy(operations: Iterable[str]) -> dict[str, Any]:
    """The least IAM policy document for these operations.

    Resources are "*": most of these actions act on names that the run itself decides, and several (for example
    iot:DescribeEndpoint, iot:RegisterCertificateWithoutCA) support no resource-level permission.
    """
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": list(actions(operations)), "Resource": "*"}],
    }
