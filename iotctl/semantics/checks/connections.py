"""Checks of how devices connected, out of the broker's history."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Final

from iotctl.semantics.checks import Flaw, Related, Rules, Severity, check, milliseconds, option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotctl.semantics.checks.fleet import Fleet, Session, Sharing, Takeover

_CERTIFICATE: Final = re.compile(r"[0-9a-f]{64}")


@check("CONFLICTING_CLIENT_IDS_CHECK", severity=Severity.HIGH, of="takeovers")
def conflicting_client_ids(one: Takeover, fleet: Fleet, rules: Rules) -> Iterator[Flaw]:  # noqa: ARG001
    """Several devices connect with one client id, and each throws the other out."""
    principals = list(dict.fromkeys(session.principal for session in one.sessions))
    yield Flaw(
        "DUPLICATE_CLIENT_ID_ACROSS_CONNECTIONS",
        {"clientId": one.client_id},
        expected="one device with this client id",
        actual=f"a connection of {', '.join(principals) or 'another principal'} was taken over",
        since=one.at,
        mend=last_seen(one.client_id),
        details={"PRINCIPAL_IDS": ",".join(principals), "DISCONNECTION_TIME": milliseconds(one.at)},
        related=tuple(
            Related("DEVICE_CERTIFICATE", {"deviceCertificateId": session.principal}, _times(session))
            for session in one.sessions
            if _CERTIFICATE.fullmatch(session.principal)
        ),
    )


def last_seen(client_id: str) -> str:
    """The command that tells where a client id connected from; it is the device's own word, so it is quoted."""
    return f"aws iot get-thing-connectivity-data {option('thing-name', shlex.quote(client_id))}"


@check("DEVICE_CERTIFICATE_SHARED_CHECK", severity=Severity.CRITICAL, of="sharings")
def device_certificate_shared(one: Sharing, fleet: Fleet, rules: Rules) -> Iterator[Flaw]:  # noqa: ARG001
    """Several connections at the same time use one certificate: its key was copied."""
    client_ids = list(dict.fromkeys(session.client_id for session in one.sessions))
    yield Flaw(
        "CERTIFICATE_SHARED_BY_MULTIPLE_DEVICES",
        {"deviceCertificateId": one.certificate_id},
        expected="one connection with this certificate",
        actual=f"client ids {', '.join(client_ids[:5])}",
        mend=f"aws iot update-certificate --certificate-id {one.certificate_id} --new-status REVOKED",
        since=one.at,
        related=tuple(
            Related("CLIENT_ID", {"clientId": session.client_id}, _times(session)) for session in one.sessions
        ),
    )


def _times(one: Session) -> dict[str, str]:
    """When a connection began and ended, as the example of list-audit-findings in the CLI's reference has it."""
    times = {"CONNECTION_TIME": one.since, "DISCONNECTION_TIME": one.until}
    return {key: milliseconds(at) for key, at in times.items() if at}
