"""Read-only: registry, policies, certificates, shadows and roles, as one Fleet value.

Only what the chosen checks need is read. What cannot be read is no error here: the fleet says so, and the checks that
need it end `unknown`; what this engine has no way to know is said too, and they end `skipped`.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from iotctl import clock
from iotctl.audit.roles import Roles
from iotctl.audit.states import States
from iotctl.kept import Kept
from iotctl.reading import Reading
from iotctl.registry import Registry
from iotctl.semantics.checks.declared import ancestry
from iotctl.semantics.checks.fleet import IN_USE, Certificate, Documents, Fleet, Thing
from iotctl.text import count

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from iotctl.context import Context
    from iotctl.pki import certificates as x509
    from iotctl.scope import Scope
    from iotctl.semantics.checks import Check
    from iotctl.semantics.checks.declared import Baseline
    from iotctl.semantics.checks.fleet import CaCertificate, Connectivity, RevocationList

_HISTORY: Final = "it needs the broker's history, which Device Defender has (--engine defender)"
_BEYOND: Final = {"takeovers": _HISTORY, "sharings": _HISTORY}
_OF_THINGS: Final = ("things", "certificates", "principals", "groups", "targets", "shadows", "connectivity")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be read.

    Attributes:
        needs: the attributes of the fleet that the checks look at.
        things: only these; None: every one.
        baseline: whose shadows, policies and components are read too.
        crls: the revocation lists that were given.
        beyond: what was not given, by the attribute of the fleet, in words.
        sample: of the things only so many, 0: all; from 0 to 1 it is a share of them. Always the same ones.
        live: read every shadow itself, not the fleet index.
        fresh: read all anew, whatever an audit that was stopped has left.

    """

    needs: frozenset[str]
    things: Scope | Sequence[str] | None = None
    baseline: Baseline | None = None
    crls: tuple[RevocationList, ...] = ()
    beyond: Mapping[str, str] = field(default_factory=dict)
    sample: float = 0
    live: bool = False
    fresh: bool = False

    @classmethod
    def of(cls, checks: Iterable[Check], **more: Any) -> Wanted:  # noqa: ANN401  the other attributes
        """What some checks need."""
        return cls(frozenset(need for one in checks for need in one.needs), **more)

    def about(self, *attributes: str) -> bool:
        """Whether any of these attributes is needed."""
        return not self.needs.isdisjoint(attributes)

    @property
    def whole(self) -> bool:
        """Whether it is about every thing."""
        return self.things is None and not self.sample

    @property
    def policies(self) -> Collection[str]:
        """The names of the policies that are declared."""
        return self.baseline.policies if self.baseline else ()


@dataclass(frozen=True, slots=True)
class Observed:
    """A fleet as it was read.

    Attributes:
        notes: how it was read, in words: the calls, how long it took, what is not its whole truth.

    """

    fleet: Fleet
    notes: tuple[str, ...]


def fleet(context: Context, wanted: Wanted) -> Observed:
    """The fleet as it is now.

    Raises:
        Auth: the credentials are no good; a single operation that they do not allow is no error.
        NotFound: the scope does not exist.

    """
    aws, started = context.reading, clock.monotonic()
    with Kept(context.home, aws.target, fresh=wanted.fresh) as kept:
        reading = Reading(aws, context.world(), kept, context.tell, beyond={**_BEYOND, **wanted.beyond})
        if kept.begun:
            context.tell(f"going on with the audit of {clock.iso(kept.begun)}, which was stopped; --fresh begins anew")
        observer = _Observer(reading, wanted, Registry(reading, wanted), States(reading, wanted))
        found = observer.fleet()
        if not reading.again:
            kept.forget()
    notes = (*observer.notes(clock.monotonic() - started), *gaps(found))
    return Observed(found, notes)


@dataclass
class _Observer:
    reading: Reading
    wanted: Wanted
    registry: Registry
    states: States
    sampled: str = ""

    def fleet(self) -> Fleet:
        reading, wanted, registry, states = self.reading, self.wanted, self.registry, self.states
        started = clock.now()
        things = self._sample(dict(registry.things()) if wanted.about(*_OF_THINGS) else {})
        groups, parents = registry.groups(things) if wanted.about("groups") else ({}, {})
        certificates = registry.certificates() if wanted.about("principals", "targets", "certificates") else []
        owners = registry.owners(things, certificates) if wanted.about("principals", "targets", "certificates") else {}
        if not wanted.whole:
            certificates = [one for one in certificates if owners.get(one["certificateId"])]
            if wanted.about("sharers"):
                owners = registry.things_of(one["certificateArn"] for one in certificates)
        policies = list(registry.policies()) if wanted.about("policies", "targets") else []
        targets = registry.targets(policies) if wanted.about("targets") else {}
        states.index()
        documents = states.documents(things) if wanted.about("shadows") else {}
        connectivity = states.connectivity(things) if wanted.about("connectivity") else {}
        components = states.components(things) if wanted.about("shadows") else {}
        of_thing: dict[str, list[str]] = {}
        for certificate_id, names in owners.items():
            for name in names:
                of_thing.setdefault(name, []).append(certificate_id)
        created = {one["certificateId"]: one["creationDate"] for one in certificates if "creationDate" in one}
        pems = registry.pems([one["certificateId"] for one in certificates]) if wanted.about("pems") else {}
        roles = Roles(reading, usage=wanted.about("used_services"))
        return Fleet(
            now=started,
            account_id=reading.aws.target.account_id,
            things=_Things(things, groups, parents, of_thing, created, targets, documents, connectivity, components),
            certificates=[
                _certificate(one, tuple(sorted(owners.get(one["certificateId"], ()))), pems) for one in certificates
            ],
            ca_certificates=list(registry.authorities()) if wanted.about("ca_certificates") else (),
            policies=policies,
            role_aliases=list(roles.aliases()) if wanted.about("role_aliases") else (),
            identity_pools=list(roles.pools()) if wanted.about("identity_pools") else (),
            crls=wanted.crls,
            logging=registry.logging() if wanted.about("logging") else True,
            parents=parents,
            unread=reading.unread,
            beyond=reading.beyond,
        )

    def notes(self, seconds: float) -> Iterator[str]:
        """How it was read, for a person."""
        calls = self.reading.calls
        most = ", ".join(f"{op} {number:,}" for op, number in calls.most_common(3))
        yield f"read with {count(calls.total(), 'call')} in {seconds:.1f} s{f' ({most})' if most else ''}"
        yield from filter(None, (self.sampled, self.states.source))

    def _sample(self, things: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """So many of the things as are wanted: those whose names have the least digests, so always the same."""
        size = self.wanted.sample
        if not size:
            return things
        most = max(1, round(size * len(things) if size < 1 else size))
        chosen = sorted(things, key=lambda name: hashlib.sha256(name.encode()).digest())[:most]
        self.sampled = f"a sample: {len(chosen):,} of {len(things):,} things, and what belongs to them"
        return {name: things[name] for name in chosen}


@dataclass(frozen=True, slots=True)
class _Things:
    """The things, each put together when it is its turn: a large fleet is never there twice."""

    facts: Mapping[str, dict[str, Any]]
    groups: Mapping[str, set[str]]
    parents: Mapping[str, str]
    certificates: Mapping[str, list[str]]
    created: Mapping[str, datetime]
    targets: Mapping[str, list[str]]
    documents: Mapping[str, Mapping[str, str]]
    connectivity: Mapping[str, Connectivity]
    components: Mapping[str, Mapping[str, str]]

    def __len__(self) -> int:
        return len(self.facts)

    def __iter__(self) -> Iterator[Thing]:
        for name, facts in sorted(self.facts.items()):
            groups, certificates = self.groups.get(name, ()), self.certificates.get(name, ())
            inside = {outer for group in groups for outer in ancestry(group, self.parents)}
            yield Thing(
                name=name,
                type_name=facts.get("thingTypeName") or "",
                attributes=facts.get("attributes", {}),
                groups=tuple(sorted(groups)),
                certificates=tuple(sorted(certificates)),
                registered=min((self.created[one] for one in certificates if one in self.created), default=None),
                policies=tuple(
                    sorted({policy for holder in (*certificates, *inside) for policy in self.targets.get(holder, ())})
                ),
                shadows=Documents(self.documents.get(name, {})),
                connectivity=self.connectivity.get(name),
                components=self.components.get(name, {}),
            )


def gaps(fleet: Fleet) -> Iterator[str]:
    """What the checks of certificates passed without being able to see it, in words. Pure."""
    certificates: Iterator[Certificate | CaCertificate] = itertools.chain(fleet.certificates, fleet.ca_certificates)
    used = [one for one in certificates if one.status in IN_USE and one.issuer]
    issuers = Counter(one.issuer for one in used) if fleet.crls else Counter()
    for issuer in sorted(issuers.keys() - {crl.issuer for crl in fleet.crls}):
        yield f"no revocation list of {issuer} was given: {count(issuers[issuer], 'certificate')} may be revoked"
    for crl in fleet.crls:
        if crl.next_update and crl.next_update < fleet.now:
            yield f"the revocation list of {crl.issuer} is old: the next one was due {crl.next_update:%Y-%m-%d}"
    if rsa := sum(one.modulus > 0 for one in used):
        yield f"{count(rsa, 'RSA key')} may be of Debian's broken generator (CVE-2008-0166): only Device Defender knows"


def _certificate(
    listed: Mapping[str, Any], things: tuple[str, ...], pems: Mapping[str, x509.Certificate]
) -> Certificate:
    says = pems.get(listed["certificateId"])
    facts = Certificate(listed["certificateId"], listed["status"], listed.get("creationDate"), things=things)
    if says is None:
        return facts
    return replace(
        facts,
        not_after=says.not_after,
        key=says.key,
        modulus=says.modulus,
        issuer=says.issuer,
        serial=says.serial,
    )
