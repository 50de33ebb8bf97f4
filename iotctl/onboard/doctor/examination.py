"""The checks of one device, in order: what each finds is what the next one builds on."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from iotctl import bundle
from iotctl.errors import Conflict, Error, Integrity, NotFound
from iotctl.onboard.doctor import core, held, reach, registered, rights, traces, trial
from iotctl.onboard.doctor.check import Check, State, guarded, problem, skipped, unread
from iotctl.pki import certificates as x509
from iotctl.semantics.policy import Decision
from iotctl.target import CORE_ROLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from iotctl.context import Context
    from iotctl.onboard.doctor.held import Held
    from iotctl.onboard.doctor.reach import Place

READS: Final = frozenset({"FilterLogEvents", "SimulatePrincipalPolicy", "TestAuthorization"})
"""Reads that are not called so."""

_MQTT_PORT: Final = 8883
_KEEPING: Final = frozenset({"name", "port", "server", "bundle", "key", "certificate", "registered", "active"})
"""The checks without which no connection comes about."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked about a device.

    Attributes:
        bundles: the directory that has its bundle; None: the only one here, if that has it.
        passphrase: that opens its key, where it is encrypted.
        publish, subscribe: the topics and filters that it uses; none: those of its shadow and its jobs.
        role_alias: that it takes as a Greengrass core; empty: iotctl's, and only if it is known as one.
        watch: seconds for which its connections are watched; 0: only its last one is looked up.
        connect: take its client id for the connection that is tried.

    """

    thing_name: str
    bundles: Path | None = None
    passphrase: bytes = b""
    publish: Sequence[str] = ()
    subscribe: Sequence[str] = ()
    role_alias: str = ""
    watch: float = 0.0
    connect: bool = False


class Examination:
    """One device, looked at; from now on whatever of the context's account is no read is refused."""

    def __init__(self, context: Context, asked: Asked) -> None:
        self._context, self._asked = context, asked
        self._aws = context.reading
        self._aws.besides = READS
        self._platform = context.platform if self._aws.target.kind == "local" else None
        self._held: Held | None = None
        self._key: bytes | None = None
        self._place: Place | None = None
        self._found = registered.Registered(asked.thing_name)
        self._connected = False

    def checks(self) -> Iterator[Check]:
        """Each check, as it is made; last a real connection, if nothing was found that keeps it from coming about.

        Raises:
            NotFound: nobody knows the thing. Conflict: its bundle is of another account.

        """
        keeping = []
        for check in self._looks():
            yield check
            keeping += [check.check] if check.state is State.PROBLEM and check.check in _KEEPING else []
        if keeping:
            yield skipped("connection", f"cannot come about: see {', '.join(keeping)}")
        else:
            yield self._trial()

    def _looks(self) -> Iterator[Check]:
        name, absent = self._asked.thing_name, self._read_bundle()
        self._found, gaps = registered.look(self._aws, name, self._held.config["certificateId"] if self._held else "")
        if absent and absent.state is State.SKIPPED and not self._found.thing and not gaps:
            raise NotFound(f"there is no thing {name} in {self._aws.target}, and no bundle of it here", on=name)
        self._found.authority_id = held.authority_id(self._held) if self._held else ""
        yield self._endpoint()
        if self._place is not None:
            yield from reach.network(self._place)
        yield from guarded("clock", lambda: reach.clocks(self._aws.skew()))
        yield from [absent] if absent else self._of_bundle()
        yield from registered.certificate(self._aws, self._found, in_bundle=self._held is not None)
        yield from registered.thing(self._aws, self._found, gaps)
        yield from guarded("policies", lambda: registered.policies(self._aws, self._found))
        is_core = bool(self._asked.role_alias) or core.is_core(self._aws, name, self._found.documents or {})
        yield from self._of_rights(is_core=is_core)
        yield from registered.sharing(self._aws, self._found)
        yield from self._presence()
        if is_core:
            yield from guarded("role alias", lambda: core.roles(self._aws, self._role_alias))
        yield from guarded("logs", lambda: traces.logs(self._aws, name))

    @property
    def _role_alias(self) -> str:
        return self._asked.role_alias or CORE_ROLE

    def _read_bundle(self) -> Check | None:
        """Find and read the bundle; why there is none to look at, where that is so."""
        directory = held.find(self._asked.thing_name, self._asked.bundles)
        if directory is None:
            return skipped("bundle", "no bundle of it is here: its key was not looked at", "--bundles DIR")
        try:
            found = held.read(directory)
        except Integrity as error:
            return problem("bundle", error.message, f"restore it from a backup: {directory}")
        target = self._aws.target
        if (found.config["accountId"], found.config["region"]) != (target.account_id, target.region):
            whose = f"account {found.config['accountId']}, region {found.config['region']}"
            raise Conflict(
                f"the bundle of {self._asked.thing_name} is for {whose}, and this is {target}",
                code="OtherAccount",
                hint="--profile and --region of that account, or --local",
            )
        self._held = found
        return None

    def _endpoint(self) -> Check:
        """Whether the device connects where it should."""
        account, why = None, ""
        try:
            answer = self._aws.call("iot:DescribeEndpoint", endpointType="iot:Data-ATS")["endpointAddress"]
        except Error as error:
            if self._held is None:
                return unread("endpoint", error)
            why = error.message
        else:
            account = self._at(answer, self._platform.mqtt_port if self._platform else _MQTT_PORT)
        named = self._at(self._held.config["endpoint"], self._held.config["mqttPort"]) if self._held else account
        assert named is not None, "without a bundle the account has answered"
        self._place = named
        return reach.endpoint(named, account, why)

    def _at(self, endpoint: str, port: int) -> Place:
        """The place of an endpoint, with the CA that the device believes."""
        right = self._platform.ca_file if self._platform else ""
        if self._held is None:
            root_ca = Path(right).read_text("ascii") if right else bundle.amazon_root_ca()
            return reach.Place(endpoint, port, root_ca, right or "Amazon Root CA 1", "--bundles DIR")
        path = self._held.ca_file
        fetched = f"curl -o {path} https://www.amazontrust.com/repository/AmazonRootCA1.pem (or is a proxy between?)"
        new_ca = f"cp {right} {path}" if right else fetched
        return reach.Place(endpoint, port, self._held.root_ca or "", str(path), new_ca)

    def _of_bundle(self) -> Iterator[Check]:
        assert self._held is not None, "without a bundle its absence is told"
        check, self._key = held.key(self._held, self._asked.passphrase)
        yield check
        yield held.certificate(self._held)

    def _of_rights(self, *, is_core: bool) -> Iterator[Check]:
        target, name = self._aws.target, self._asked.thing_name
        if not self._found.documents:
            for check in ("connect", "publish", "subscribe", "receive"):
                yield skipped(check, "needs the policies")
            return
        wanted = rights.of_device(target, name, self._asked.publish, self._asked.subscribe)
        wanted += rights.of_core(target, name, self._role_alias) if is_core else []
        bound = self._bound(name)
        yield from registered.allowed(self._aws, self._found, bound, wanted)
        if is_core:
            yield registered.others(wanted, bound, self._found)

    def _bound(self, client_id: str) -> rights.Rights:
        """The policies, for a connection with this client id."""
        pem = self._found.certificate["certificatePem"]
        names, found = x509.names(pem), self._found
        known = rights.Known(
            client_id=client_id,
            certificate_id=found.certificate_id,
            serial=x509.read(pem).serial,
            attached=found.attached,
            thing=found.thing,
            subject=names.subject,
            issuer=names.issuer,
        )
        return rights.Rights(found.documents or {}, known)

    def _presence(self) -> Iterator[Check]:
        name = self._asked.thing_name
        try:
            found, self._connected = traces.presence(self._aws, name)
        except Error as error:
            found = unread("presence", error)
        yield found
        if self._asked.watch:
            yield from guarded("presence", partial(traces.watched, self._context, name, self._asked.watch))

    def _trial(self) -> Check:
        """A real connection, where all that it takes is at hand and nobody is disturbed by it."""
        if self._held is None or self._place is None or self._key is None:
            return skipped("connection", "needs the bundle, with its key")
        if not self._found.certificate:
            # A certificate of a CA that registers just in time would be registered by trying.
            return skipped("connection", "needs the registered certificate: trying could register it")
        if self._asked.connect and self._connected:
            return skipped("connection", "the device is connected: with its client id it would be thrown off")
        client_id = self._asked.thing_name if self._asked.connect else f"{trial.STRANGER}{uuid.uuid4().hex[:8]}"
        wanted = rights.Right(rights.CONNECT, self._aws.target.arn(f"client/{client_id}"), client_id)
        allowed = self._asked.connect or self._bound(client_id).decide(wanted) is Decision.ALLOWED
        return trial.connect(self._held, self._place, self._key, client_id, allowed=allowed)
