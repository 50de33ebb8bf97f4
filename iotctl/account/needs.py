"""The operations of each command that calls AWS."""

from __future__ import annotations

from typing import Final

from iotctl import upload

_SHARED: Final = (
    "iot:DescribeEndpoint",
    "iot:DescribeThingType",
    "iot:DescribeThingGroup",
    "iot:DescribeBillingGroup",
    "iot:GetPolicy",
    "service-quotas:ListServiceQuotas",
    "sts:GetCallerIdentity",
)

_SCOPE: Final = ("iot:ListThingsInThingGroup", "iot:SearchIndex", "sts:GetCallerIdentity")

_FLEET: Final = (
    "iot:DescribeCertificate",
    "iot:DescribeThing",
    "iot:DescribeThingGroup",
    "iot:GetPolicy",
    "iot:ListCertificates",
    "iot:ListPolicies",
    "iot:ListPrincipalThings",
    "iot:ListTargetsForPolicy",
    "iot:ListThingGroups",
    "iot:ListThingPrincipals",
    "iot:GetIndexingConfiguration",
    "iot:ListThingGroupsForThing",
    "iot:ListThings",
    "iot-data:GetThingShadow",
)

_ROLES: Final = (
    "cognito-identity:GetIdentityPoolRoles",
    "cognito-identity:ListIdentityPools",
    "iam:GenerateServiceLastAccessedDetails",
    "iam:GetPolicy",
    "iam:GetPolicyVersion",
    "iam:GetRolePolicy",
    "iam:GetServiceLastAccessedDetails",
    "iam:ListAttachedRolePolicies",
    "iam:ListRolePolicies",
    "iot:DescribeRoleAlias",
    "iot:ListRoleAliases",
)
"""Without these the checks of role aliases and identity pools are skipped."""

_MENDED: Final = (
    "iot:AddThingToThingGroup",
    "iot:AttachPolicy",
    "iot:DetachPolicy",
    "iot:RemoveThingFromThingGroup",
    "iot:SetDefaultPolicyVersion",
    "iot:UpdateCACertificate",
    "iot:UpdateCertificate",
    "iot:UpdateThing",
    "iot-data:UpdateThingShadow",
)

_AUDITED: Final = (
    *_FLEET,
    *_ROLES,
    "greengrassv2:ListCoreDevices",
    "greengrassv2:ListInstalledComponents",
    "iot:DescribeCACertificate",
    "iot:GetLoggingOptions",
    "iot:GetThingConnectivityData",
    "iot:GetV2LoggingOptions",
    "iot:ListCACertificates",
)

_ROLLOUT: Final = ("iot:DescribeJob", "iot:ListTagsForResource", "sts:GetCallerIdentity")
_FAILURES: Final = ("iot:DescribeJobExecution", "iot:ListJobExecutionsForJob")

_DEPLOYING: Final = (
    "greengrassv2:CreateDeployment",
    "greengrassv2:GetComponent",
    "greengrassv2:GetCoreDevice",
    "greengrassv2:GetDeployment",
    "greengrassv2:ListComponentVersions",
    "greengrassv2:ListCoreDevices",
    "greengrassv2:ListDeployments",
    "greengrassv2:ListEffectiveDeployments",
    "iot:Connect",
    "iot:DescribeEndpoint",
    "iot:DescribeThing",
    "iot:DescribeThingGroup",
    "iot:Receive",
    "iot:Subscribe",
)

OPERATIONS: Final[dict[str, tuple[str, ...]]] = {
    "onboard plan": (*_SHARED, "iot:DescribeThing"),
    "onboard apply": (
        *_SHARED,
        "iot:AddThingToBillingGroup",
        "iot:AddThingToThingGroup",
        "iot:AttachPolicy",
        "iot:AttachThingPrincipal",
        "iot:CreateBillingGroup",
        "iot:CreatePolicy",
        "iot:CreateThing",
        "iot:CreateThingGroup",
        "iot:CreateThingType",
        "iot:DescribeCertificate",
        "iot:DescribeThing",
        "iot:RegisterCertificateWithoutCA",
        "iot-data:GetThingShadow",
        "iot-data:UpdateThingShadow",
    ),
    "onboard undo": (
        "iot:DeleteBillingGroup",
        "iot:DeleteCertificate",
        "iot:DeletePolicy",
        "iot:DeleteThing",
        "iot:DeleteThingGroup",
        "iot:DeleteThingType",
        "iot:DeprecateThingType",
        "iot:DescribeThing",
        "iot:DetachPolicy",
        "iot:DetachThingPrincipal",
        "iot:ListAttachedPolicies",
        "iot:ListTagsForResource",
        "iot:ListTargetsForPolicy",
        "iot:ListThingGroups",
        "iot:ListThings",
        "iot:ListThingsInBillingGroup",
        "iot:ListThingsInThingGroup",
        "iot:UpdateCertificate",
        "iot:UpdateThing",
        "iot-data:DeleteThingShadow",
        "iot-data:ListNamedShadowsForThing",
        "service-quotas:ListServiceQuotas",
        "sts:GetCallerIdentity",
    ),
    "shadow get": ("iot-data:GetThingShadow",),
    "shadow set": (*_SCOPE, "iot-data:GetThingShadow", "iot-data:UpdateThingShadow"),
    "shadow diff": (*_SCOPE, "iot-data:GetThingShadow", "iot:GetIndexingConfiguration", "iot:ListThingGroups"),
    "shadow list": ("iot:DescribeThing", "iot-data:GetThingShadow", "iot-data:ListNamedShadowsForThing"),
    "shadow delete": (*_SCOPE, "iot-data:DeleteThingShadow"),
    # An operator's MQTT connection is allowed by IAM too, with the actions of IoT policies.
    "shadow watch": (*_SCOPE, "iot:Connect", "iot:DescribeEndpoint", "iot:Receive", "iot:Subscribe"),
    "audit baseline": (*_SCOPE, *_FLEET),
    "audit watch": (
        *_SCOPE,
        *_AUDITED,
        "iot:Connect",
        "iot:DescribeEndpoint",
        "iot:DescribeEventConfigurations",
        "iot:Publish",
        "iot:Receive",
        "iot:Subscribe",
        "sns:Publish",
    ),
    "audit fix": (
        *_SCOPE,
        *_AUDITED,
        *_MENDED,
        "iot:CreateJob",
        "iot:CreatePolicy",
        "iot:CreatePolicyVersion",
        "iot:CreateThingGroup",
        "iot:DescribeJob",
        "iot:GetPolicyVersion",
        "iot:ListPolicyVersions",
    ),
    "audit undo": (*_MENDED, "iot:CancelJob", "iot:DeletePolicy", "sts:GetCallerIdentity"),
    "audit trend": ("sts:GetCallerIdentity",),
    "audit profiles": (
        "iot:AttachSecurityProfile",
        "iot:CreateCustomMetric",
        "iot:CreateDimension",
        "iot:CreateSecurityProfile",
        "iot:DescribeCustomMetric",
        "iot:DescribeDimension",
        "iot:DescribeSecurityProfile",
        "iot:DescribeThingGroup",
        "iot:DetachSecurityProfile",
        "iot:ListTargetsForSecurityProfile",
        "iot:UpdateDimension",
        "iot:UpdateSecurityProfile",
    ),
    "audit violations": (*_SCOPE, "iot:ListActiveViolations", "iot:ListViolationEvents"),
    "audit run": (
        *_SCOPE,
        *_AUDITED,
    ),
    "ota watch": (
        *_ROLLOUT,
        *_FAILURES,
        "iot:Connect",
        "iot:DescribeEndpoint",
        "iot:DescribeEventConfigurations",
        "iot:ListThingsInThingGroup",
        "iot:Receive",
        "iot:Subscribe",
    ),
    "ota show": (
        *_ROLLOUT,
        *_FAILURES,
        "iot:DescribeThing",
        "iot:GetJobDocument",
        "iot:ListJobExecutionsForThing",
    ),
    "ota retry": (*_ROLLOUT, "iot:CreateJob", "iot:GetJobDocument", "iot:ListJobExecutionsForJob"),
    "ota cancel": (*_ROLLOUT, "iot:CancelJob"),
    "infer feedback": (*_SCOPE, "s3:GetObject", "s3:ListObjectsV2"),
    "infer push": (
        *_SCOPE,
        *_DEPLOYING,
        *upload.NEEDS,
        "greengrassv2:CreateComponentVersion",
        "greengrassv2:DescribeComponent",
        "iam:SimulatePrincipalPolicy",
        "iot:AddThingToThingGroup",
        "iot:CreateThingGroup",
        "iot:DescribeRoleAlias",
        "iot:ListRoleAliases",
        "s3:GetObject",
        "s3:HeadBucket",
        "sagemaker:DescribeTrainingJob",
        "sagemaker:ListTrainingJobs",
    ),
    "infer rollback": (*_SCOPE, *_DEPLOYING),
    "infer status": (
        *_SCOPE,
        "greengrassv2:GetComponent",
        "greengrassv2:ListInstalledComponents",
        "iot-data:GetThingShadow",
    ),
    "infer tail": (*_SCOPE, "iot:Connect", "iot:DescribeEndpoint", "iot:Receive", "iot:Subscribe"),
    "account check": (
        "iam:GetRole",
        "iot:DescribeEndpoint",
        "iot:GetIndexingConfiguration",
        "iot:ListPolicies",
        "iot:ListRoleAliases",
        "iot:ListThings",
        "s3:HeadBucket",
        "service-quotas:ListServiceQuotas",
        "sts:GetCallerIdentity",
    ),
}
"""By command, those that it only may need too."""

VARIANTS: Final[dict[str, tuple[str, ...]]] = {
    "audit run defender": (
        *_SCOPE,
        "iot:CancelAuditTask",
        "iot:DeleteAccountAuditConfiguration",
        "iot:DescribeAccountAuditConfiguration",
        "iot:DescribeAuditTask",
        "iot:ListAuditFindings",
        "iot:ListPrincipalThings",
        "iot:StartOnDemandAuditTask",
        "iot:UpdateAccountAuditConfiguration",
    ),
}
"""Commands that need other operations with an option: `audit run --engine defender`."""
