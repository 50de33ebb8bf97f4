"""What an audit looks at, read from the store.

What a certificate says of itself is read out of its PEM once, a batch at a time, and kept: on AWS too data is collected
before a check runs. Revocation lists are files of the directory `crl` beside the store: this platform asks no other
machine for anything, so it follows no URL of a certificate.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from iotctl.errors import Usage
from iotctl.local.services import logging_options, role_aliases
from iotctl.local.services.defender import history
from iotctl.pki import certificates as x509
from iotctl.pki.distribution import revocation_list_urls
from iotctl.semantics.checks.fleet import CaCertificate, Certificate, Fleet, Policy, RevocationList, Role, RoleAlias

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS audit_certificate (
    id TEXT PRIMARY KEY, key TEXT NOT NULL, modulus TEXT NOT NULL, subject TEXT NOT NULL, issuer TEXT NOT NULL,
    serial TEXT NOT NULL, has_list INTEGER NOT NULL
) WITHOUT ROWID
"""
# `modulus` in hex; `has_list`: whether it names a revocation list.

CRLS: Final = "crl"
"""The directory, in the state directory, of the revocation lists that an audit goes by (PEM or DER)."""

LAST: Final = "g"
"""Later than every certificate id."""

_SLICE: Final = 1000  # certificates, as many as take the loop some ten milliseconds
_BATCH: Final = 500  # certificates, as many as take the loop some fifty milliseconds
_CERTIFICATES: Final = """
SELECT c.id, c.status, c.created, c.not_after, f.key, f.modulus, f.issuer, f.serial
FROM certificate c JOIN audit_certificate f ON f.id = c.id WHERE c.id > ? AND c.id <= ? ORDER BY c.id LIMIT 500
"""
_UNREAD: Final = """
SELECT c.id, c.pem FROM {table} c WHERE NOT EXISTS (SELECT 1 FROM audit_certificate f WHERE f.id = c.id)
"""
_UNLISTED: Final = """
SELECT f.issuer FROM {table} c JOIN audit_certificate f ON f.id = c.id
WHERE f.has_list AND c.status = 'ACTIVE' GROUP BY f.issuer
"""
_NO_IAM: Final = "there is no IAM on this platform: the policies of roles cannot be read"


def collect(store: Store, after: str) -> str:
    """Read certificates that were not read before, of some hundred that follow one; the last id that was looked at.

    LAST where nothing is left behind it; then the CA certificates, which are few, are read too.
    """
    rows = store.rows(f"{_UNREAD.format(table='certificate')} AND c.id > ? ORDER BY c.id LIMIT ?", after, _BATCH)
    _read(store, rows)
    if len(rows) == _BATCH:
        return str(rows[-1]["id"])
    _read(store, store.rows(_UNREAD.format(table="ca_certificate")))
    return LAST


def slice_end(store: Store, after: str) -> str:
    """The id of the last certificate of the slice that begins after one; LAST where nothing is left behind it."""
    sql = "SELECT id FROM certificate WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?"
    row = store.row(sql, after, _SLICE - 1)
    return row["id"] if row else LAST


def fleet(store: Store, needs: Iterable[str], since: float, *, after: str = "", until: str = LAST) -> Fleet:
    """The fleet as it is now, of what a check needs.

    Args:
        store: where it is.
        needs: attributes of the fleet.
        since: how devices connected is looked at from then on.
        after: of the device certificates only those with a later id.
        until: and none with a later id than this.

    """
    wanted = set(needs)
    unread: dict[str, str] = {}
    crls = tuple(_revocation_lists(store, unread)) if "crls" in wanted else ()
    if "crls" in wanted:
        _all_listed(store, crls, unread, wanted)
    # Of certificates that no list is about nothing is checked, so they do not count.
    listed = crls if "crls" in wanted and "ca_certificates" not in wanted else None
    aliases = store.rows("SELECT name, role FROM role_alias ORDER BY name") if "role_aliases" in wanted else []
    if aliases:
        unread["role_aliases"] = _NO_IAM
    return Fleet(
        now=datetime.fromtimestamp(store.now(), UTC),
        account_id=store.account_id,
        certificates=_certificates(store, listed, after, until) if "certificates" in wanted else (),
        ca_certificates=list(_authorities(store)) if "ca_certificates" in wanted else (),
        policies=_policies(store) if "policies" in wanted else (),
        role_aliases=[RoleAlias(role_aliases.arn(store, row["name"]), Role(row["role"])) for row in aliases],
        takeovers=list(history.takeovers(store, since)) if "takeovers" in wanted else (),
        sharings=list(history.sharings(store, since)) if "sharings" in wanted else (),
        crls=crls,
        logging=logging_options.enabled(store),
        unread=unread,
    )


def _read(store: Store, rows: Iterable[sqlite3.Row]) -> None:
    for row in rows:
        says = x509.read(row["pem"])
        facts = (says.key, f"{says.modulus:x}", says.subject, says.issuer, says.serial)
        has_list = bool(revocation_list_urls(row["pem"]))
        store.execute("INSERT INTO audit_certificate VALUES (?, ?, ?, ?, ?, ?, ?)", row["id"], *facts, has_list)


def things_of(store: Store, certificate_id: str) -> tuple[str, ...]:
    """The things that a certificate is attached to."""
    rows = store.rows(
        "SELECT thing_name FROM thing_principal WHERE principal = ? ORDER BY thing_name",
        store.arn(f"cert/{certificate_id}"),
    )
    return tuple(row["thing_name"] for row in rows)


def _certificates(
    store: Store, crls: tuple[RevocationList, ...] | None, after: str, until: str
) -> Iterator[Certificate]:
    """Device certificates; where revocation lists are looked at, those whose issuer has one.

    Their things are not looked up: findings name certificates.
    """
    last, issuers = after, {crl.issuer for crl in crls or ()}
    while rows := store.rows(_CERTIFICATES, last, until):
        last = rows[-1]["id"]
        for row in rows:
            if crls is None or row["issuer"] in issuers:
                yield Certificate(
                    row["id"],
                    row["status"],
                    _moment(row["created"]),
                    _moment(row["not_after"]),
                    row["key"],
                    int(row["modulus"], 16),
                    row["issuer"],
                    row["serial"],
                )


def _authorities(store: Store) -> Iterator[CaCertificate]:
    for row in store.rows(
        "SELECT c.id, c.status, c.not_after, f.* FROM ca_certificate c JOIN audit_certificate f ON f.id = c.id"
        " ORDER BY c.id"
    ):
        yield CaCertificate(
            row["id"],
            row["status"],
            _moment(row["not_after"]),
            row["key"],
            int(row["modulus"], 16),
            row["subject"],
            row["issuer"],
            row["serial"],
        )


def _policies(store: Store) -> Iterator[Policy]:
    for row in store.rows(
        "SELECT p.name, v.version, v.document FROM policy p"
        " JOIN policy_version v ON v.policy_name = p.name AND v.version = p.default_version ORDER BY p.name"
    ):
        yield Policy(row["name"], str(row["version"]), row["document"])


def _revocation_lists(store: Store, unread: dict[str, str]) -> Iterator[RevocationList]:
    for path in sorted((store.directory / CRLS).glob("*")):
        try:
            yield RevocationList(*x509.revocations(path.read_bytes()))
        except (OSError, Usage) as error:
            unread["crls"] = f"{path} cannot be read: {error}"


def _all_listed(store: Store, crls: tuple[RevocationList, ...], unread: dict[str, str], wanted: Iterable[str]) -> None:
    """Say where an active certificate names a revocation list that is not there: then nothing can be said of it."""
    table = "ca_certificate" if "ca_certificates" in wanted else "certificate"
    issuers = {row["issuer"] for row in store.rows(_UNLISTED.format(table=table))} - {crl.issuer for crl in crls}
    if issuers:
        where = f"put it into {store.directory / CRLS}"
        unread.setdefault("crls", f"the revocation list of {', '.join(sorted(issuers))} is not here: {where}")


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
