"""Read-only: what the registry holds: things, groups, certificates, policies, and who has which of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from iotctl import scope
from iotctl.errors import Error
from iotctl.kept import CERTIFICATES
from iotctl.pki import certificates as x509
from iotctl.semantics.checks.fleet import CaCertificate, Policy

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from iotctl.reading import Reading
    from iotctl.scope import Scope


class Wanted(Protocol):
    """What of the registry is to be read."""

    @property
    def things(self) -> Scope | Sequence[str] | None:
        """Only these things; None: every one."""
        ...

    @property
    def whole(self) -> bool:
        """Whether it is about every thing."""
        ...

    @property
    def policies(self) -> Collection[str]:
        """The names of the policies that are declared."""
        ...


@dataclass
class Registry:
    """Reads the registry as far as it is wanted."""

    reading: Reading
    wanted: Wanted

    def things(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The things that are looked at, with their types and attributes."""
        chosen = self.wanted.things
        if chosen is None:
            for one in self.reading.listed("things", "iot:ListThings", "things", maxResults=250):
                yield one["thingName"], one
            return
        names = list(chosen) if isinstance(chosen, Sequence) else scope.resolve(self.reading.aws, chosen).names
        yield from self.reading.each("things", "iot:DescribeThing", "thingName", names, _described)

    def groups(self, things: Mapping[str, Any]) -> tuple[dict[str, set[str]], dict[str, str]]:
        """The groups of each thing, and the parent of each group."""
        found: dict[str, set[str]] = {}
        listed = self.reading.listed("groups", "iot:ListThingGroups", "thingGroups", maxResults=250)
        names = [group["groupName"] for group in listed]
        if len(things) < len(names):
            op = "iot:ListThingGroupsForThing"
            for thing, its in self.reading.each("groups", op, "thingName", list(things), _names_of_groups):
                found[thing] = set(its)
        described = dict(self.reading.each("groups", "iot:DescribeThingGroup", "thingGroupName", names, _parent))
        for group in described if len(things) >= len(names) else ():
            members = self.reading.listed(
                "groups", "iot:ListThingsInThingGroup", "things", thingGroupName=group, maxResults=250
            )
            for name in members:
                if name in things:
                    found.setdefault(name, set()).add(group)
        return found, {name: parent for name, parent in described.items() if parent}

    def owners(self, things: Mapping[str, Any], certificates: list[dict[str, Any]]) -> dict[str, list[str]]:
        """The things of each certificate: asked of whichever of the two there are fewer, and of which all are known.

        With neither list whole there is a gap in this too: a certificate without a thing may be that of one not listed.
        """
        unread = self.reading.unread
        by_certificate = len(certificates) <= len(things)
        if "things" in unread and "certificates" in unread:
            unread.setdefault("principals", unread["things"])
        elif unread.keys() & {"things", "certificates"}:
            by_certificate = "things" in unread
        if self.wanted.whole and by_certificate:
            return self.things_of(one["certificateArn"] for one in certificates)
        return self.certificates_of(things)

    def things_of(self, arns: Iterable[str]) -> dict[str, list[str]]:
        """The things of each of these certificates, by its id."""
        op = "iot:ListPrincipalThings"
        asked = self.reading.each("principals", op, "principal", list(arns), lambda answer: answer.get("things", []))
        return {arn.rpartition("/")[2]: names for arn, names in asked}

    def certificates_of(self, things: Iterable[str]) -> dict[str, list[str]]:
        """The certificates of these things: the things of each, by its id."""
        found: dict[str, list[str]] = {}
        op = "iot:ListThingPrincipals"
        for name, ids in self.reading.each("principals", op, "thingName", list(things), _certificate_ids):
            for certificate_id in ids:
                found.setdefault(certificate_id, []).append(name)
        return found

    def certificates(self) -> list[dict[str, Any]]:
        """The device certificates as they are listed."""
        return list(self.reading.listed("certificates", "iot:ListCertificates", "certificates", pageSize=250))

    def policies(self) -> Iterator[Policy]:
        """The policies' default versions; one that is declared and not there has no document."""
        listed = self.reading.listed("policies", "iot:ListPolicies", "policies", pageSize=250)
        declared = set(self.wanted.policies)
        names = [policy["policyName"] for policy in listed]
        for name, found in self.reading.each("policies", "iot:GetPolicy", "policyName", names, _default_version):
            declared.discard(name)
            yield Policy(name, *found)
        for name in sorted(declared if "policies" not in self.reading.unread else ()):
            yield Policy(name, "", "")

    def targets(self, policies: Iterable[Policy]) -> dict[str, list[str]]:
        """The policies of each certificate id and each group name."""
        found: dict[str, list[str]] = {}
        for policy in policies:
            if policy.document:
                for target in self.reading.listed(
                    "targets", "iot:ListTargetsForPolicy", "targets", policyName=policy.name, pageSize=250
                ):
                    found.setdefault(target.rpartition("/")[2], []).append(policy.name)
        return found

    def authorities(self) -> Iterator[CaCertificate]:
        """The registered CA certificates."""
        listed = self.reading.listed("ca_certificates", "iot:ListCACertificates", "certificates", pageSize=250)
        ids = [one["certificateId"] for one in listed]
        op = "iot:DescribeCACertificate"
        for certificate_id, (pem, status) in self.reading.each("ca_certificates", op, "certificateId", ids, _authority):
            says = x509.read(pem)
            yield CaCertificate(
                certificate_id,
                status,
                says.not_after,
                says.key,
                says.modulus,
                says.subject,
                says.issuer,
                says.serial,
            )

    def logging(self) -> bool:
        """Whether logging of either version is on; an account that never configured it has none."""
        for op, level in (("iot:GetV2LoggingOptions", "defaultLogLevel"), ("iot:GetLoggingOptions", "logLevel")):
            try:
                self.reading.calls[op] += 1
                answer = self.reading.aws.call(op)
            except Error as error:
                if error.code == "NotConfiguredException":
                    continue
                self.reading.missed("logging", op, error)
                return False
            if answer.get("roleArn") and not answer.get("disableAllLogs") and answer.get(level) != "DISABLED":
                return True
        return False

    def pems(self, ids: list[str]) -> dict[str, x509.Certificate]:
        """What the certificates say, each read from AWS once and kept."""
        found = self.reading.each("pems", CERTIFICATES, "certificateId", ids, _pem)
        return {certificate_id: x509.read(pem) for certificate_id, pem in found}


def _described(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: answer[key] for key in ("thingName", "thingTypeName", "attributes") if key in answer}


def _names_of_groups(answer: dict[str, Any]) -> list[str]:
    """The groups of a thing: at most ten, so one page has them all."""
    return [group["groupName"] for group in answer.get("thingGroups", ())]


def _parent(answer: dict[str, Any]) -> str:
    return str(answer.get("thingGroupMetadata", {}).get("parentGroupName") or "")


def _certificate_ids(answer: dict[str, Any]) -> list[str]:
    return [principal.rpartition("/")[2] for principal in answer.get("principals", ()) if ":cert/" in principal]


def _default_version(answer: dict[str, Any]) -> tuple[str, str]:
    return answer["defaultVersionId"], answer["policyDocument"]


def _pem(answer: dict[str, Any]) -> str:
    return str(answer["certificateDescription"]["certificatePem"])


def _authority(answer: dict[str, Any]) -> tuple[str, str]:
    described = answer["certificateDescription"]
    return described["certificatePem"], described["status"]
