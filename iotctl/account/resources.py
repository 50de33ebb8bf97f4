"""What `account template` makes, as CloudFormation."""

from __future__ import annotations

from typing import Any, Final

from iotctl import templates
from iotctl.target import AUDIT_ROLE, CORE_ROLE, JOB_PRESIGN_ROLE, REGISTRATION_ROLE, Target

_HERE: Final = Target("aws", "${AWS::AccountId}", "${AWS::Region}")
_ANYWHERE: Final = Target("aws", "${AWS::AccountId}", "*")


def template() -> dict[str, Any]:
    """The CloudFormation template: the same for every account and region, whose names CloudFormation fills in.

    Who may take the roles is from the developer guides of AWS IoT (create-manage-jobs, bulk-provisioning,
    cross-service-confused-deputy-prevention), AWS IoT Device Defender (audit, dd-cross-service-confused-deputy-
    prevention) and AWS IoT Greengrass (device-service-role). Every statement for iot.amazonaws.com is bound to this
    account by aws:SourceAccount and aws:SourceArn; any resource of it will do, as the pages differ on which AWS sends.
    """
    return templates.render_json(
        "account",
        "resources",
        bucket=_HERE.bucket,
        buckets=_ANYWHERE.bucket,
        job_presign_role=JOB_PRESIGN_ROLE,
        registration_role=REGISTRATION_ROLE,
        audit_role=AUDIT_ROLE,
        core_role=CORE_ROLE,
    )
