"""Certificates that register themselves when their device first connects, and devices that a template then provisions.

A CA may be enabled for it, with a template or without. The connection on which a certificate is first seen always ends:
the device connects again, and by then its template, or whoever heard the event, has activated it. Sources: AWS IoT
developer guide, auto-register-device-cert (JITR) and jit-provisioning (JITP).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from iotctl.errors import Usage
from iotctl.local.services import AwsError, certificates, invalid, issued_certificates
from iotctl.local.services.provisioning import templates
from iotctl.local.services.provisioning.registering import register
from iotctl.local.services.role_aliases import check_role
from iotctl.pki import certificates as x509
from iotctl.semantics import topics
from iotctl.semantics.intrinsics import TemplateError
from iotctl.semantics.provisioning import Kind
from iotctl.semantics.registration import certificate_parameters, evaluate
from iotctl.text import sanitize

if TYPE_CHECKING:
    import sqlite3

    from iotctl.local.store import Store
    from iotctl.semantics.provisioning import Template

log = logging.getLogger(__name__)

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS ca_registration (
    ca_id TEXT PRIMARY KEY REFERENCES ca_certificate (id) ON DELETE CASCADE, enabled INTEGER NOT NULL,
    body TEXT, role TEXT, template TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ca_registration_by_template ON ca_registration (template) WHERE template IS NOT NULL
"""

_EVENT_MILLISECONDS: Final = 1000


def configure(store: Store, ca_id: str, *, enabled: bool | None, config: dict[str, str] | None) -> None:
    """Set what a CA registers, and by which template; None: as it was.

    Raises:
        AwsError: the template is not one of just-in-time provisioning, or its role none of this account.

    """
    store.execute("INSERT INTO ca_registration VALUES (?, 0, NULL, NULL, NULL) ON CONFLICT DO NOTHING", ca_id)
    if enabled is not None:
        store.execute("UPDATE ca_registration SET enabled = ? WHERE ca_id = ?", enabled, ca_id)
    if config:
        _check(store, config)
        columns = (config.get("templateBody"), config.get("roleArn"), config.get("templateName"))
        store.execute("UPDATE ca_registration SET body = ?, role = ?, template = ? WHERE ca_id = ?", *columns, ca_id)


def remove(store: Store, ca_id: str) -> None:
    """Let a CA register nothing, and forget its template."""
    store.execute("DELETE FROM ca_registration WHERE ca_id = ?", ca_id)


def described(store: Store, ca_id: str) -> tuple[bool, dict[str, Any] | None]:
    """Whether a CA registers what it signed, and the configuration that it was given."""
    row = store.row("SELECT * FROM ca_registration WHERE ca_id = ?", ca_id)
    if row is None:
        return False, None
    found = {"templateBody": row["body"], "roleArn": row["role"], "templateName": row["template"]}
    config = {key: value for key, value in found.items() if value is not None}
    return bool(row["enabled"]), config or None


def announce(store: Store, ca_id: str) -> None:
    """Tell the door whether it lets in strangers that a CA has signed."""
    row = store.row("SELECT * FROM ca_certificate WHERE id = ?", ca_id)
    assert row is not None, "a CA is announced while it is there"
    store.publish(f"$local/ca/{ca_id}", {"certificatePem": row["pem"], "registers": _registers(store, row)})


def announced(store: Store) -> list[str]:
    """The CAs (PEM) of whose certificates the door lets in strangers."""
    rows = store.rows(
        "SELECT pem FROM ca_certificate JOIN ca_registration ON ca_id = id WHERE status = 'ACTIVE' AND enabled"
    )
    return [row["pem"] for row in rows]


def awaited(store: Store, der: bytes) -> bool:
    """Whether a certificate that is not active is one that registers itself, or has and waits."""
    return _awaited(store, der) is not None


def seen(store: Store, der: bytes) -> None:
    """A certificate was shown: register it where it is not, say so, and provision its device where there is a template.

    As the guide says of the event, a certificate that waits is told of each time that it is shown. It is provisioned
    each time too, until that succeeds: the guide does not say, and nothing else could put right what was wrong.
    """
    found = _awaited(store, der)
    if found is None:
        return
    certificate, authority = found
    with store.transaction():
        if certificates.find(store, certificate.certificate_id) is None:
            pending = certificates.PENDING
            certificates.add(store, certificate, pending, mode=authority["mode"], ca_id=authority["id"])
        _event(store, certificate.certificate_id, authority["id"])
        try:
            template = _template(store, authority["id"])
            if template is not None:
                subject = x509.names(certificate.pem).subject
                register(store, evaluate(template, certificate_parameters(certificate.certificate_id, subject)))
        except (AwsError, TemplateError) as error:
            reason = sanitize(error.message if isinstance(error, AwsError) else str(error))
            log.warning("certificate %s is not provisioned: %s", certificate.certificate_id, reason)


def _awaited(store: Store, der: bytes) -> tuple[x509.Certificate, sqlite3.Row] | None:
    """The certificate and the CA that registers it."""
    try:
        certificate = x509.read(x509.pem(der))
    except Usage:
        return None
    row = certificates.find(store, certificate.certificate_id)
    if row is not None and row["status"] != certificates.PENDING:
        return None
    for authority in issued_certificates.signers(store, certificate):
        if _registers(store, authority):
            return certificate, authority
    return None


def _registers(store: Store, authority: sqlite3.Row) -> bool:
    return authority["status"] == "ACTIVE" and described(store, authority["id"])[0]


def _template(store: Store, ca_id: str) -> Template | None:
    """The template of a CA as it is now."""
    _, config = described(store, ca_id)
    if not config:
        return None
    if "templateName" in config:
        row = templates.known(store, config["templateName"])
        if not row["enabled"]:
            raise invalid(f"Template {row['name']} is not enabled")
        return templates.in_effect(store, row)
    return templates.read(config["templateBody"], Kind.JUST_IN_TIME)


def _check(store: Store, config: dict[str, str]) -> None:
    """Refuse a configuration that is neither a template's name nor its body with a role."""
    if ("templateName" in config) == ("templateBody" in config):
        raise invalid("registrationConfig must have either templateName or templateBody")
    if "templateName" in config:
        row = templates.known(store, config["templateName"])
        if row["type"] != Kind.JUST_IN_TIME.value:
            raise invalid(f"Template {row['name']} is not of the type {Kind.JUST_IN_TIME.value}")
        return
    templates.read(config["templateBody"], Kind.JUST_IN_TIME)
    if "roleArn" not in config:
        raise invalid("registrationConfig must have a roleArn with its templateBody")
    check_role(store, config["roleArn"])


def _event(store: Store, certificate_id: str, ca_id: str) -> None:
    row = certificates.known(store, certificate_id)
    event = {
        "certificateId": certificate_id,
        "caCertificateId": ca_id,
        "timestamp": int(store.now() * _EVENT_MILLISECONDS),
        "certificateStatus": certificates.PENDING,
        "awsAccountId": store.account_id,
        "certificateRegistrationTimestamp": str(int(row["created"] * _EVENT_MILLISECONDS)),
    }
    store.publish(topics.certificate_registered(ca_id), event)
