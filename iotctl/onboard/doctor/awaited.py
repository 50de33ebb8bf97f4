"""Whether a certificate that is not registered yet registers itself when its device first connects; read only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from iotctl.errors import NotFound
from iotctl.onboard.doctor.check import Check, ok, problem

if TYPE_CHECKING:
    from iotctl.aws import Aws

_AGAIN: Final = "iotctl onboard apply FILE --engine jitp --ca registered"


def look(aws: Aws, authority_id: str) -> Check:
    """Whether the CA of a certificate registers it just in time.

    Args:
        aws: the account.
        authority_id: the CA that follows the certificate in its file, as a device shows both for that.

    """
    change = f"aws iot update-ca-certificate --certificate-id {authority_id}"
    shown = f"it is not registered; its CA {authority_id[:12]}…"
    try:
        answer = aws.call("iot:DescribeCACertificate", certificateId=authority_id)
    except NotFound:
        return problem("registered", f"{shown}, which would do that, is not registered either", _AGAIN)
    found = answer["certificateDescription"]
    if found["status"] != "ACTIVE":
        return problem("registered", f"{shown} is {found['status']}", f"{change} --new-status ACTIVE")
    if found.get("autoRegistrationStatus") != "ENABLE":
        fix = f"{change} --new-auto-registration-status ENABLE"
        return problem("registered", f"{shown} does not register certificates by itself", fix)
    return ok("registered", f"not yet: its CA {authority_id[:12]}… does that when the device first connects")
