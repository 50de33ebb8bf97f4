"""Checks of certificates: their end, their age, their keys, and the lists of those that were revoked."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from iotctl.semantics.checks import Flaw, Related, Rules, Severity, argument, check, milliseconds, option
from iotctl.semantics.checks.fleet import IN_USE
from iotctl.semantics.checks.keys import is_roca

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from iotctl.semantics.checks.fleet import CaCertificate, Certificate, Fleet

_ROCA: Final = "CERTIFICATE_KEY_VULNERABILITY_CVE-2017-15361"


@check("CA_CERTIFICATE_EXPIRING_CHECK", severity=Severity.MEDIUM, of="ca_certificates")
def ca_certificate_expiring(one: CaCertificate, fleet: Fleet, rules: Rules) -> Iterator[Flaw]:
    """A registered CA certificate expires soon or has: it should sign no more device certificates."""
    mend = f"aws iot update-ca-certificate --certificate-id {one.certificate_id} --new-status INACTIVE"
    yield from _expiring(one, {"caCertificateId": one.certificate_id}, fleet, rules, (), mend)


@check("DEVICE_CERTIFICATE_EXPIRING_CHECK", severity=Severity.MEDIUM, of="certificates", needs=("pems",))
def device_certificate_expiring(one: Certificate, fleet: Fleet, rules: Rules) -> Iterator[Flaw]:
    """A device certificate expires soon or has: the device will not be able to connect."""
    # Once it has expired the device cannot come for another one.
    renewable = len(one.things) == 1 and one.not_after is not None and one.not_after > fleet.now
    mend = f"iotctl onboard certs rotate {argument(one.things[0])}" if renewable else _switch_off(one)
    yield from _expiring(one, {"deviceCertificateId": one.certificate_id}, fleet, rules, one.things, mend)


@check("DEVICE_CERTIFICATE_AGE_CHECK", severity=Severity.LOW, of="certificates")
def device_certificate_age(one: Certificate, fleet: Fleet, rules: Rules) -> Iterator[Flaw]:
    """A device certificate has been active for long: keys should be renewed from time to time."""
    if one.status not in IN_USE or one.created is None:
        return
    age = fleet.now - one.created
    if age >= timedelta(days=rules.age_days):
        yield Flaw(
            "CERTIFICATE_PAST_AGE_THRESHOLD",
            {"deviceCertificateId": one.certificate_id},
            expected=f"younger than {rules.age_days} days",
            actual=f"{age.days} days",
            since=one.created + timedelta(days=rules.age_days),
            things=one.things,
            mend=_switch_off(one),
        )


@check("CA_CERTIFICATE_KEY_QUALITY_CHECK", severity=Severity.CRITICAL, of="ca_certificates")
def ca_certificate_key_quality(one: CaCertificate, fleet: Fleet, rules: Rules) -> Iterator[Flaw]:  # noqa: ARG001
    """The key of a registered CA can be computed from its public part (CVE-2017-15361, "ROCA").

    Keys of Debian's broken generator (CVE-2008-0166) are found by Device Defender only: the list of them is not here.
    """
    mend = f"aws iot update-ca-certificate --certificate-id {one.certificate_id} --new-status INACTIVE"
    yield from _weak(one, {"caCertificateId": one.certificate_id}, (), mend)


@check("DEVICE_CERTIFICATE_KEY_QUALITY_CHECK", severity=Severity.CRITICAL, of="certificates", needs=("pems",))
def device_certificate_key_quality(one: Certificate, fleet: Fleet, rules: Rules) -> Iterator[Flaw]:  # noqa: ARG001
    """The key of a device can be computed from its public part (CVE-2017-15361, "ROCA").

    Keys of Debian's broken generator (CVE-2008-0166) are found by Device Defender only: the list of them is not here.
    """
    # No package carries that list: the one that looks for such keys (badkeys) fetches it from its own server.
    mend = _switch_off(one)
    yield from _weak(one, {"deviceCertificateId": one.certificate_id}, one.things, mend)


@check("REVOKED_CA_CERTIFICATE_STILL_ACTIVE_CHECK", severity=Severity.CRITICAL, of="ca_certificates", needs=("crls",))
def revoked_ca_certificate(one: CaCertificate, fleet: Fleet, rules: Rules) -> Iterator[Flaw]:  # noqa: ARG001
    """A registered CA was revoked by its issuer and is still active here: new devices may still be signed by it."""
    if one.status in IN_USE and _is_revoked(one, fleet):
        yield Flaw(
            "CERTIFICATE_REVOKED_BY_ISSUER",
            {"caCertificateId": one.certificate_id},
            expected="INACTIVE",
            actual=f"{one.status}, and in the revocation list of {one.issuer}",
            mend=f"aws iot update-ca-certificate --certificate-id {one.certificate_id} --new-status INACTIVE",
        )


@check(
    "REVOKED_DEVICE_CERTIFICATE_STILL_ACTIVE_CHECK", severity=Severity.MEDIUM, of="certificates", needs=("pems", "crls")
)
def revoked_device_certificate(one: Certificate, fleet: Fleet, rules: Rules) -> Iterator[Flaw]:  # noqa: ARG001
    """A device certificate was revoked by its CA and is still active here: whoever has its key can connect."""
    if one.status in IN_USE and _is_revoked(one, fleet):
        yield Flaw(
            "CERTIFICATE_REVOKED_BY_ISSUER",
            {"deviceCertificateId": one.certificate_id},
            expected="REVOKED",
            actual=f"{one.status}, and in the revocation list of {one.issuer}",
            things=one.things,
            mend=_switch_off(one, "REVOKED"),
        )


@check(
    "INTERMEDIATE_CA_REVOKED_FOR_ACTIVE_DEVICE_CERTIFICATES_CHECK",
    severity=Severity.CRITICAL,
    of="certificates",
    needs=("pems", "ca_certificates", "crls"),
    resource="ISSUER_CERTIFICATE",
)
def intermediate_ca_revoked(one: Certificate, fleet: Fleet, rules: Rules) -> Iterator[Flaw]:  # noqa: ARG001
    """A device certificate is active although a CA of its chain, be it not its own issuer, was revoked by its issuer.

    The chain is that of the CA certificates that are registered.
    """
    if one.status not in IN_USE:
        return
    for authority in _chain(one.issuer, fleet):
        if _is_revoked(authority, fleet):
            yield Flaw(
                "INTERMEDIATE_CA_REVOKED_BY_ISSUER",
                {
                    "issuerCertificateIdentifier": {
                        "issuerCertificateSubject": authority.subject,
                        "issuerCertificateSerialNumber": authority.serial,
                    }
                },
                expected="no active certificate of a revoked CA",
                actual=f"{one.certificate_id} is {one.status}",
                things=one.things,
                mend=_switch_off(one, "REVOKED"),
                key=one.certificate_id,
                related=(Related("DEVICE_CERTIFICATE", {"deviceCertificateId": one.certificate_id}),),
            )


@check("WEAK_KEY_CHECK", severity=Severity.HIGH, of="certificates", needs=("pems", "strong_keys"), ours=True)
def key_weaker_than_baseline(one: Certificate, fleet: Fleet, rules: Rules) -> Iterator[Flaw]:  # noqa: ARG001
    """The key of an active certificate is of a kind that the baseline does not list as strong enough."""
    if rules.keys and one.status in IN_USE and one.key and one.key not in rules.keys:
        yield Flaw(
            "KEY_WEAKER_THAN_BASELINE",
            {"deviceCertificateId": one.certificate_id},
            expected=" or ".join(rules.keys),
            actual=one.key,
            things=one.things,
            mend=_switch_off(one),
        )


@check("ORPHAN_CERTIFICATE_CHECK", severity=Severity.MEDIUM, of="certificates", needs=("principals",), ours=True)
def orphan_certificate(one: Certificate, fleet: Fleet, rules: Rules) -> Iterator[Flaw]:  # noqa: ARG001
    """An active certificate is attached to no thing: somebody may hold its key, and nobody misses it."""
    if one.status == "ACTIVE" and not one.things:
        yield Flaw(
            "ACTIVE_CERTIFICATE_WITHOUT_THING",
            {"deviceCertificateId": one.certificate_id},
            expected="attached to a thing, or INACTIVE",
            actual="ACTIVE, attached to nothing",
            since=one.created,
            mend=_switch_off(one),
        )


# `sharers`: all the things of a certificate, those outside of what is looked at too.
@check(
    "CERTIFICATE_ON_SEVERAL_THINGS_CHECK",
    severity=Severity.HIGH,
    of="certificates",
    needs=("principals", "sharers"),
    ours=True,
)
def certificate_on_several_things(one: Certificate, fleet: Fleet, rules: Rules) -> Iterator[Flaw]:  # noqa: ARG001
    """One certificate is attached to several things: they cannot be told apart, nor shut out one by one."""
    if len(one.things) > 1:
        yield Flaw(
            "CERTIFICATE_ATTACHED_TO_SEVERAL_THINGS",
            {"deviceCertificateId": one.certificate_id},
            expected="one thing",
            actual=f"{len(one.things)} things: {', '.join(sorted(one.things)[:5])}",
            things=tuple(sorted(one.things)),
            mend=f"aws iot detach-thing-principal {option('thing-name', max(one.things))} --principal CERTIFICATE_ARN",
        )


def _switch_off(one: Certificate, status: str = "INACTIVE") -> str:
    """What ends the use of a certificate, once its thing has a new one."""
    return f"aws iot update-certificate --certificate-id {one.certificate_id} --new-status {status}"


def _expiring(
    one: Certificate | CaCertificate,
    resource: Mapping[str, str],
    fleet: Fleet,
    rules: Rules,
    things: tuple[str, ...],
    mend: str,
) -> Iterator[Flaw]:
    if one.status not in IN_USE or one.not_after is None:
        return
    left = one.not_after - fleet.now
    if left > timedelta(days=rules.expiring_days):
        return
    past = left <= timedelta(0)
    yield Flaw(
        "CERTIFICATE_PAST_EXPIRATION" if past else "CERTIFICATE_APPROACHING_EXPIRATION",
        resource,
        expected=f"valid for more than {rules.expiring_days:g} days",
        actual=f"{'expired' if past else 'expires'} {one.not_after:%Y-%m-%d}",
        since=one.not_after if past else one.not_after - timedelta(days=rules.expiring_days),
        things=things,
        mend=mend,
        details={"EXPIRATION_TIME": milliseconds(one.not_after)},
    )


def _weak(
    one: Certificate | CaCertificate, resource: Mapping[str, str], things: tuple[str, ...], mend: str
) -> Iterator[Flaw]:
    if one.status in IN_USE and one.modulus and is_roca(one.modulus):
        yield Flaw(
            _ROCA, resource, expected="a key that is random", actual=f"{one.key}, factorable", things=things, mend=mend
        )


def _chain(issuer: str, fleet: Fleet) -> Iterator[CaCertificate]:
    """The registered CAs that vouch for what an issuer signs: it, its own issuer, and so on; but no root, nobody's."""
    names = [issuer]
    for name in names:  # it grows on the way
        for authority in fleet.ca_certificates:
            if authority.subject == name and authority.issuer != name:
                yield authority
                if authority.issuer not in names:
                    names.append(authority.issuer)


def _is_revoked(one: Certificate | CaCertificate, fleet: Fleet) -> bool:
    return any(one.issuer == crl.issuer and one.serial in crl.serials for crl in fleet.crls)
