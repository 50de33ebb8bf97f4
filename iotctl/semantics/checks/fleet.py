"""What an audit judges: a fleet, as plain values read once.

Who reads them (the tool over AWS's APIs, the platform from its own store) decides how much of them is in memory: the
collections are iterated once for all checks together, and may stream.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from datetime import datetime


IN_USE: Final = ("ACTIVE", "PENDING_TRANSFER")
"""The states of certificates that Device Defender looks at."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A device certificate.

    Attributes:
        certificate_id: SHA-256 of its DER, hex.
        status: ACTIVE, INACTIVE, REVOKED, PENDING_TRANSFER, PENDING_ACTIVATION.
        created: when it was registered; None where that was not read.
        not_after: when it expires; None where it could not be read out of the certificate.
        key: "rsa-2048", "ec-secp256r1"; empty where it could not be read.
        modulus: of an RSA key; 0 of any other.
        issuer: the issuer's distinguished name (RFC 4514).
        serial: hex, lower case.
        things: the names of the things that it is attached to.

    """

    certificate_id: str
    status: str = "ACTIVE"
    created: datetime | None = None
    not_after: datetime | None = None
    key: str = ""
    modulus: int = 0
    issuer: str = ""
    serial: str = ""
    things: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CaCertificate:
    """A registered CA certificate; the members are those of a device certificate."""

    certificate_id: str
    status: str = "ACTIVE"
    not_after: datetime | None = None
    key: str = ""
    modulus: int = 0
    subject: str = ""
    issuer: str = ""
    serial: str = ""


@dataclass(frozen=True, slots=True)
class RevocationList:
    """What a CRL says: whose it is, and which serial numbers (hex, lower case) it revokes.

    Attributes:
        issuer: the issuer's distinguished name (RFC 4514).
        next_update: after which it says nothing any more; None where it does not say.

    """

    issuer: str
    serials: frozenset[str]
    next_update: datetime | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """An IoT policy's default version, as JSON text."""

    name: str
    version_id: str
    document: str


@dataclass(frozen=True, slots=True)
class Role:
    """An IAM role that devices or users act as.

    Attributes:
        arn: of the role.
        documents: every policy of it, inline and managed, as JSON text.
        used_services: the namespaces (`iot`, `s3`) used in the past year; None where that was not read.

    """

    arn: str
    documents: tuple[str, ...] = ()
    used_services: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class RoleAlias:
    """A role alias of the credential provider."""

    arn: str
    role: Role


@dataclass(frozen=True, slots=True)
class IdentityPool:
    """A Cognito identity pool that connected to the message broker, with one of its roles."""

    pool_id: str
    authenticated: bool
    role: Role


@dataclass(frozen=True, slots=True)
class Session:
    """One connection.

    Attributes:
        since: when it began; None where that was not seen.
        until: when it ended; None: it goes on, or that was not seen.

    """

    client_id: str
    principal: str
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Takeover:
    """A client id whose connections ended because another one came with it.

    Attributes:
        sessions: those that ended so, and those that came; the last first.
        at: when it last happened.

    """

    client_id: str
    sessions: tuple[Session, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class Sharing:
    """One certificate that authenticated several connections at the same time.

    Attributes:
        sessions: those connections, the last first.
        at: when it was last seen.

    """

    certificate_id: str
    sessions: tuple[Session, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class Connectivity:
    """Whether a thing is connected, and since when it is so."""

    connected: bool
    since: datetime | None = None


_decoded: Final = json.JSONDecoder().decode


class Documents(Mapping[str, Mapping[str, Any]]):
    """A thing's shadows by name, kept as the JSON texts that they are; each is read when it is first asked for.

    A fleet of texts takes a tenth of the memory that it takes read.
    """

    __slots__ = ("_read", "_texts")

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts
        self._read: dict[str, Mapping[str, Any]] = {}

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        """The document of one shadow."""
        found = self._read.get(name)
        if found is None:
            found = self._read[name] = _decoded(self._texts[name])
        return found

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(self._texts)

    def __len__(self) -> int:
        """How many shadows there are."""
        return len(self._texts)


@dataclass(frozen=True, slots=True)
class Thing:
    """A thing as the registry, its shadows and the broker know it.

    Attributes:
        groups: the thing groups that it is in directly.
        certificates: the ids of the certificates attached to it.
        registered: when the first of them was registered; None where that was not read.
        policies: the names of the policies that apply to it, through its certificates and its groups.
        shadows: by name, "" the classic one: the documents as GetThingShadow answers them (state, metadata, version).
        connectivity: None where it is not known.
        components: Greengrass components that are installed on it, by name, with their versions.

    """

    name: str
    type_name: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()
    registered: datetime | None = None
    policies: tuple[str, ...] = ()
    shadows: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    connectivity: Connectivity | None = None
    components: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fleet:
    """Everything that is judged together.

    Attributes:
        now: the moment that the checks go by.
        logging: whether either kind of IoT logging is on.
        parents: thing groups below another one, with that one's name.
        unread: what could not be read although this engine reads it, by the name of the attribute here, and why:
            checks that need it end `unknown`.
        beyond: what this engine has no way to know, likewise: checks that need it end `skipped`.

    """

    now: datetime
    account_id: str = ""
    things: Iterable[Thing] = ()
    certificates: Iterable[Certificate] = ()
    ca_certificates: Iterable[CaCertificate] = ()
    policies: Iterable[Policy] = ()
    role_aliases: Iterable[RoleAlias] = ()
    identity_pools: Iterable[IdentityPool] = ()
    takeovers: Iterable[Takeover] = ()
    sharings: Iterable[Sharing] = ()
    crls: tuple[RevocationList, ...] = ()
    logging: bool = True
    parents: Mapping[str, str] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
    beyond: Mapping[str, str] = field(default_factory=dict)
