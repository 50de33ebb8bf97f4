"""Read-only: registry, policies, certificates and shadows, as one Fleet value.

Only what the chosen checks need is read. What cannot be read is no error here: the fleet says so, and the checks that
need it end `unknown`; what this engine has no way to know is said too, and they end `skipped`.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from iotctl import clock, engine, files, pki, scope
from iotctl.errors import Auth, Denied, Error, NotFound, Unsupported
from iotctl.plan import Ref, Step
from iotctl.semantics.checks.declared import ancestry
from iotctl.semantics.checks.fleet import CaCertificate, Certificate, Connectivity, Fleet, Policy, RevocationList, Thing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from iotctl.aws import Aws
    from iotctl.engine import World
    from iotctl.scope import Scope
    from iotctl.semantics.checks import Check
    from iotctl.semantics.checks.declared import Baseline

CACHE: Final = "certificates.db"
"""Certificates by id, in the tool's state directory: a certificate never changes, so each is read once."""

_HISTORY: Final = "it needs the broker's history, which Device Defender has"
_IAM: Final = "it needs IAM's policies and Access Advisor, which Device Defender reads"
_BEYOND: Final = {
    "takeovers": _HISTORY,
    "sharings": _HISTORY,
    "role_aliases": _IAM,
    "identity_pools": _IAM,
    "used_services": _IAM,
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be read.

    Attributes:
        needs: the attributes of the fleet that the checks look at.
        things: only these; None: every one.
        baseline: whose shadows and policies are read too.
        crls: the revocation lists that were given.

    """

    needs: frozenset[str]
    things: Scope | None = None
    baseline: Baseline | None = None
    crls: tuple[RevocationList, ...] = ()

    @classmethod
    def of(cls, checks: Iterable[Check], **more: Any) -> Wanted:  # noqa: ANN401  the other attributes
        """What some checks need."""
        return cls(frozenset(need for one in checks for need in one.needs), **more)


def fleet(aws: Aws, world: World, wanted: Wanted, home: Path) -> Fleet:
    """The fleet as it is now.

    Raises:
        Auth: the credentials are no good; a single operation that they do not allow is no error.
        NotFound: the scope does not exist.

    """
    return _Reader(aws, world, wanted, home).fleet()


@dataclass
class _Reader:
    aws: Aws
    world: World
    wanted: Wanted
    home: Path
    unread: dict[str, str] = field(default_factory=dict)
    beyond: dict[str, str] = field(default_factory=lambda: dict(_BEYOND))

    def fleet(self) -> Fleet:
        if not self.wanted.crls:
            self.beyond["crls"] = "no revocation list was given (--crl)"
        if not self.wanted.baseline:
            self.beyond["baseline"] = "no baseline was given (--baseline)"
        things = dict(self._things())
        groups, parents = self._groups(things) if self._needs("groups") else ({}, {})
        certificates = list(self._listed("certificates", "iot:ListCertificates", "certificates", pageSize=250))
        owners = self._owners(things, certificates) if self._needs("principals", "targets", "certificates") else {}
        policies = list(self._policies()) if self._needs("policies", "targets") else []
        targets = self._targets(policies) if self._needs("targets") else {}
        shadows = self._shadows(things) if self._needs("shadows") else {}
        connectivity = self._connectivity(things) if self._needs("connectivity") else {}
        of_thing: dict[str, list[str]] = {}
        for certificate_id, names in owners.items():
            for name in names:
                of_thing.setdefault(name, []).append(certificate_id)
        if self.wanted.things is not None:
            certificates = [one for one in certificates if owners.get(one["certificateId"])]
        pems = self._pems([one["certificateId"] for one in certificates]) if self._needs("pems") else {}
        return Fleet(
            now=clock.now(),
            account_id=self.aws.target.account_id,
            things=[
                Thing(
                    name=name,
                    type_name=facts.get("thingTypeName") or "",
                    attributes=facts.get("attributes", {}),
                    groups=tuple(sorted(groups.get(name, ()))),
                    certificates=tuple(sorted(of_thing.get(name, ()))),
                    policies=_policies_of(name, of_thing, groups, parents, targets),
                    shadows=shadows.get(name, {}),
                    connectivity=connectivity.get(name),
                )
                for name, facts in sorted(things.items())
            ],
            certificates=[
                _certificate(one, tuple(sorted(owners.get(one["certificateId"], ()))), pems) for one in certificates
            ],
            ca_certificates=list(self._authorities()) if self._needs("ca_certificates") else (),
            policies=policies,
            crls=self.wanted.crls,
            logging=self._logging() if self._needs("logging") else True,
            parents=parents,
            unread=self.unread,
            beyond=self.beyond,
        )

    def _needs(self, *attributes: str) -> bool:
        return not self.wanted.needs.isdisjoint(attributes)

    def _things(self) -> Iterator[tuple[str, dict[str, Any]]]:
        if not self._needs("things", "certificates", "principals", "groups", "targets", "shadows", "connectivity"):
            return
        if self.wanted.things is None:
            for one in self._listed("things", "iot:ListThings", "things", maxResults=250):
                yield one["thingName"], one
            return
        names = scope.resolve(self.aws, self.wanted.things).names
        yield from self._each("things", "iot:DescribeThing", "thingName", names)

    def _groups(self, things: Mapping[str, Any]) -> tuple[dict[str, set[str]], dict[str, str]]:
        """The groups of each thing, and the parent of each group."""
        found: dict[str, set[str]] = {}
        listed = self._listed("groups", "iot:ListThingGroups", "thingGroups", maxResults=250)
        names = [group["groupName"] for group in listed]
        described = dict(self._each("groups", "iot:DescribeThingGroup", "thingGroupName", names))
        for group in described:
            members = self._listed(
                "groups", "iot:ListThingsInThingGroup", "things", thingGroupName=group, maxResults=250
            )
            for name in members:
                if name in things:
                    found.setdefault(name, set()).add(group)
        parents = {
            name: parent
            for name, one in described.items()
            if (parent := one.get("thingGroupMetadata", {}).get("parentGroupName"))
        }
        return found, parents

    def _owners(self, things: Mapping[str, Any], certificates: list[dict[str, Any]]) -> dict[str, list[str]]:
        """The things of each certificate: asked of whichever of the two there are fewer."""
        if self.wanted.things is None and len(certificates) <= len(things):
            arns = {one["certificateArn"]: one["certificateId"] for one in certificates}
            asked = self._each("principals", "iot:ListPrincipalThings", "principal", list(arns))
            return {arns[arn]: answer.get("things", []) for arn, answer in asked}
        found: dict[str, list[str]] = {}
        for name, answer in self._each("principals", "iot:ListThingPrincipals", "thingName", list(things)):
            for principal in answer.get("principals", ()):
                if ":cert/" in principal:
                    found.setdefault(principal.rpartition("/")[2], []).append(name)
        return found

    def _policies(self) -> Iterator[Policy]:
        listed = self._listed("policies", "iot:ListPolicies", "policies", pageSize=250)
        declared = set(self.wanted.baseline.policies if self.wanted.baseline else ())
        for name, one in self._each("policies", "iot:GetPolicy", "policyName", [p["policyName"] for p in listed]):
            declared.discard(name)
            yield Policy(name, one["defaultVersionId"], one["policyDocument"])
        for name in sorted(declared if "policies" not in self.unread else ()):
            yield Policy(name, "", "")

    def _targets(self, policies: Iterable[Policy]) -> dict[str, list[str]]:
        """The policies of each certificate id and each group name."""
        found: dict[str, list[str]] = {}
        for policy in policies:
            if policy.document:
                for target in self._listed(
                    "targets", "iot:ListTargetsForPolicy", "targets", policyName=policy.name, pageSize=250
                ):
                    found.setdefault(target.rpartition("/")[2], []).append(policy.name)
        return found

    def _shadows(self, things: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        named = {key[1] for key in self.wanted.baseline.keys("shadow")} if self.wanted.baseline else set()
        if self.wanted.baseline and self.wanted.baseline.keys("model"):
            named.add("iotctl-models")
        for shadow_name in sorted({"", *named}):
            more = {"shadowName": shadow_name} if shadow_name else {}
            for name, answer in self._each("shadows", "iot-data:GetThingShadow", "thingName", list(things), **more):
                found.setdefault(name, {})[shadow_name] = json.loads(answer["payload"])
        return found

    def _connectivity(self, things: Mapping[str, Any]) -> dict[str, Connectivity]:
        op = "iot:GetThingConnectivityData"
        return {
            name: Connectivity(answer.get("connected", False), answer.get("timestamp"))
            for name, answer in self._each("connectivity", op, "thingName", list(things))
        }

    def _authorities(self) -> Iterator[CaCertificate]:
        listed = self._listed("ca_certificates", "iot:ListCACertificates", "certificates", pageSize=250)
        ids = [one["certificateId"] for one in listed]
        for certificate_id, answer in self._each("ca_certificates", "iot:DescribeCACertificate", "certificateId", ids):
            described = answer["certificateDescription"]
            says = pki.read(described["certificatePem"])
            yield CaCertificate(
                certificate_id,
                described["status"],
                says.not_after,
                says.key,
                says.modulus,
                says.subject,
                says.issuer,
                says.serial,
            )

    def _logging(self) -> bool:
        """Whether logging of either version is on; an account that never configured it has none."""
        for op, level in (("iot:GetV2LoggingOptions", "defaultLogLevel"), ("iot:GetLoggingOptions", "logLevel")):
            try:
                answer = self.aws.call(op)
            except Error as error:
                if error.code == "NotConfiguredException":
                    continue
                self._missed("logging", op, error)
                return False
            if answer.get("roleArn") and not answer.get("disableAllLogs") and answer.get(level) != "DISABLED":
                return True
        return False

    def _pems(self, ids: list[str]) -> dict[str, pki.Certificate]:
        """What the certificates say, each read from AWS once and kept."""
        directory = files.private_directory(self.home)
        with sqlite3.connect(directory / CACHE) as cache:
            cache.execute(
                "CREATE TABLE IF NOT EXISTS certificate (id TEXT PRIMARY KEY, pem TEXT NOT NULL) WITHOUT ROWID"
            )
            known = dict(
                cache.execute(
                    "SELECT id, pem FROM certificate WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(ids),)
                ).fetchall()
            )
            missing = [one for one in ids if one not in known]
            for certificate_id, answer in self._each("pems", "iot:DescribeCertificate", "certificateId", missing):
                known[certificate_id] = answer["certificateDescription"]["certificatePem"]
                cache.execute(
                    "INSERT OR REPLACE INTO certificate VALUES (?, ?)", (certificate_id, known[certificate_id])
                )
        cache.close()
        return {certificate_id: pki.read(pem) for certificate_id, pem in known.items()}

    def _listed(self, attribute: str, op: str, member: str, **params: Any) -> Iterator[Any]:  # noqa: ANN401  AWS's own
        """The elements of a listing; one that is cut short leaves a gap, which is told."""
        try:
            for page in self.aws.pages(op, **params):
                yield from page.get(member, ())
        except Error as error:
            self._missed(attribute, op, error)

    def _each(
        self,
        attribute: str,
        op: str,
        parameter: str,
        values: list[str],
        **params: Any,  # noqa: ANN401  AWS's own
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """The answer of one read for each value; what is not there any more is left out, what failed is told."""
        rows = ({"thingName": value, "line": number} for number, value in enumerate(values, 1))
        step = Step(op, {parameter: Ref("row.thingName"), **params})
        failed, last = 0, None
        try:
            for row, answer in engine.answers(step, rows, self.world):
                if isinstance(answer, NotFound):
                    continue
                if isinstance(answer, Error):
                    failed, last = failed + 1, answer
                else:
                    yield row["thingName"], answer
        except Error as error:
            failed, last = failed + 1, error
        if last is not None:
            self._missed(attribute, op, last, f" for {failed:,} of {len(values):,}")

    def _missed(self, attribute: str, op: str, error: Error, how_many: str = "") -> None:
        if isinstance(error, Auth) and not isinstance(error, Denied):
            raise error
        if isinstance(error, Unsupported):
            self.beyond.setdefault(attribute, f"{op} is not there")
        else:
            self.unread.setdefault(attribute, f"{op} failed{how_many}: {error.cause or error.message}")


def _certificate(
    listed: Mapping[str, Any], things: tuple[str, ...], pems: Mapping[str, pki.Certificate]
) -> Certificate:
    says = pems.get(listed["certificateId"])
    created: datetime | None = listed.get("creationDate")
    facts = Certificate(listed["certificateId"], listed["status"], created, things=things)
    if says is None:
        return facts
    return Certificate(
        facts.certificate_id,
        facts.status,
        created,
        says.not_after,
        says.key,
        says.modulus,
        says.issuer,
        says.serial,
        things,
    )


def _policies_of(
    name: str,
    certificates: Mapping[str, list[str]],
    groups: Mapping[str, set[str]],
    parents: Mapping[str, str],
    targets: Mapping[str, list[str]],
) -> tuple[str, ...]:
    inside = {outer for group in groups.get(name, ()) for outer in ancestry(group, parents)}
    return tuple(
        sorted({policy for target in (*certificates.get(name, ()), *inside) for policy in targets.get(target, ())})
    )
