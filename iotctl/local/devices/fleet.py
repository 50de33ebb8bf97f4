"""A simulated fleet on the bundles of an onboarding: thousands of light connections, or a few through awsiotsdk."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from iotctl import bundle
from iotctl.errors import Integrity, Interrupted, NotFound, Usage
from iotctl.local.devices import download, installer, sdk
from iotctl.local.devices.credentials import Credentials
from iotctl.local.devices.device import Device
from iotctl.local.devices.installer import Site
from iotctl.local.devices.light import Light
from iotctl.local.devices.session import Identity, allow_thousands
from iotctl.local.devices.tally import Row, Tally
from iotctl.local.devices.thing import REFUSAL
from iotctl.manifest import Self
from iotctl.pki import keys
from iotctl.target import Target
from iotctl.text import count
from iotctl.trust import FILE as TRUST_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from iotctl.local.devices.roles import Role

FEW: Final = 5
"""So many things at most go through awsiotsdk unasked."""
CONNECTING: Final = 200
"""So many connections at most are being made at one time."""
INSTALLING: Final = 16
"""So many light things at most download and install at one time."""
STATE: Final = "state"
"""Beside the bundles: what the things have installed."""
CREDENTIALS: Final = ".credentials"
"""There, for each thing: the keys that it has made itself."""

_Given = TypeVar("_Given")
_Found = TypeVar("_Found")

_HERE = ("127.0.0.1", "::1", "localhost")
_PROGRESS_SECONDS = 1.0
_GATHER_SECONDS = 0.02  # rows that come together are written together


@dataclass(frozen=True, slots=True)
class Member:
    """One thing of the fleet: who it is, and the account that its bundle belongs to."""

    identity: Identity
    target: Target
    site: Site


def members(
    bundles: Path | None, number: int | None, trust: Path | None = None, passphrase: bytes = b""
) -> list[Member]:
    """The things that a bundles directory can play, in the order of their directories: the first `number`, or all.

    A bundle without a key (its row brought a CSR) cannot be played, and is passed over.

    Args:
        bundles: the directory; None: the only one here, and then not one of an AWS account, where a simulated thing
            would put the real one off the line (a client id is connected once).
        number: how many.
        trust: the trust store of all of them; None: `trusted_keys.json` beside the bundles.
        passphrase: of their keys, where they are encrypted.

    Raises:
        NotFound: there are no bundles. Usage: there are fewer than `number`, or their keys are encrypted and the
            passphrase is missing or wrong. Integrity: one is damaged.

    """
    directory = bundles or bundle.only_directory(Path.cwd())
    places = sorted(place for place in (directory / "devices").glob("*") if place.is_dir())
    if not places:
        raise NotFound(
            f"there are no bundles in {directory}", hint="iotctl onboard apply FILE --bundles DIR makes them"
        )
    trust_file = trust or directory / TRUST_FILE
    playable = (member for place in places if (member := _member(place, trust_file, passphrase)) is not None)
    found = list(itertools.islice(playable, number))
    if number is not None and len(found) < number:
        raise Usage(
            f"{directory} has the bundles of {count(len(found), 'thing')} with a key, not of {number:,}",
            hint=f"iotctl local devices {len(found)}, or onboard more of them",
        )
    if passphrase:
        bundle.private_key(found[0].identity.key, passphrase)  # a wrong one is told once, and not by every device
    for member in found:
        if bundles is None and member.target.kind != "local":
            raise Usage(
                f"the bundles in {directory} are for {member.target}: simulated things would take the real ones' place",
                hint=f"--bundles {directory} if that is meant",
            )
    return found


def notes(fleet: Sequence[Member], parts: Mapping[str, Role]) -> tuple[str, ...]:
    """What a person should know before it begins: who is played, where, and how many misbehave."""
    failing = sum(part.fails for part in parts.values())
    slow = sum(part.delay > 0 for part in parts.values())
    offline = sum(part.offline for part in parts.values())
    known = ((failing, "fail"), (slow, "are slow"), (offline, "stay offline"))
    told = [f"{number:,} {what}" for number, what in known if number]
    where = " and ".join(sorted({str(member.target) for member in fleet}))
    found = [f"playing {count(len(fleet), 'thing')} on {where}; Ctrl-C ends it"]
    found += [f"of these {', '.join(told)}"] if told else []
    stores = sorted({member.site.trust_file for member in fleet})
    found += [f"no trust store {store}: they refuse every job that installs" for store in stores if not store.exists()]
    return tuple(found)


def run(
    fleet: Sequence[Member], parts: Mapping[str, Role], *, seconds: float = 0.0, through_sdk: bool = False
) -> Iterator[Row]:
    """Run a fleet until Ctrl-C, SIGTERM or the end of its time.

    Args:
        fleet: who.
        parts: the role of each thing, by its name.
        seconds: end after so long; 0: never.
        through_sdk: awsiotsdk for all, however many.

    Yields:
        time, thingName, event, shadowName, detail: what things do, how many are connected; the last one sums it up.

    """
    allow_thousands()
    present = [member for member in fleet if not parts[member.identity.thing_name].offline]
    with asyncio.Runner() as runner:
        running = _Running(len(fleet))
        runner.run(running.start(present, parts, seconds, through_sdk=through_sdk or len(fleet) <= FEW))
        try:
            while not running.ended.is_set():
                yield from runner.run(running.news())
            summary = running.tally.summary()
        finally:
            runner.run(running.stop())
    yield summary


class _Running:
    """One run of a fleet, on one event loop."""

    def __init__(self, things: int) -> None:
        self._stirred = asyncio.Event()
        self._stopping = threading.Event()
        self._jobs: set[asyncio.Future[None]] = set()
        self._faults: list[BaseException] = []
        self._threads: ThreadPoolExecutor | None = None
        self.ended = asyncio.Event()
        self.tally = Tally(things, self._stirred.set)

    async def start(
        self, present: Sequence[Member], parts: Mapping[str, Role], seconds: float, *, through_sdk: bool
    ) -> None:
        """Let every thing begin to connect."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            # Signals reach the main thread only; elsewhere the caller's own end ends this.
            with contextlib.suppress(ValueError, RuntimeError):
                loop.add_signal_handler(number, self._end)
        if seconds:
            loop.call_later(seconds, self._end)
        self._add(asyncio.ensure_future(self._progress()))
        self._threads = ThreadPoolExecutor(max(len(present), 1) if through_sdk else INSTALLING, "device")
        gate = asyncio.Semaphore(CONNECTING)
        for member in present:
            role = parts[member.identity.thing_name]
            device = Device(member.identity.thing_name, role)
            install = partial(installer.install, site=_acting(member.site, role), stop=self._stopping)
            credentials = Credentials(member.site.root / CREDENTIALS, member.identity)
            if through_sdk:
                paced = member.target.kind != "local"
                say = loop.call_soon_threadsafe
                carry = partial(sdk.carry, credentials, device, install, self.tally, say, self._stopping, paced=paced)
                self._add(loop.run_in_executor(self._threads, carry))
            else:
                light = Light(credentials, device, self.tally, gate, partial(self._in_thread, install), self._in_thread)
                self._add(asyncio.ensure_future(light.link.keep()))

    async def news(self) -> list[Row]:
        """The next rows, when there are some; none when the run ends."""
        await self._stirred.wait()
        await asyncio.sleep(_GATHER_SECONDS)
        self._stirred.clear()
        return self.tally.take()

    async def stop(self) -> None:
        """Disconnect everything.

        Raises:
            BaseException: what ended a thing that should not have ended.

        """
        self._stopping.set()
        jobs = list(self._jobs)
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        if self._threads is not None:
            await asyncio.to_thread(self._threads.shutdown)
        if self._faults:
            raise self._faults[0]

    async def _progress(self) -> None:
        while True:
            await asyncio.sleep(_PROGRESS_SECONDS)
            self.tally.progress()

    def _in_thread(self, function: Callable[[_Given], _Found], given: _Given, done: Callable[[_Found], None]) -> None:
        """Do it in a thread; the loop goes on."""

        async def doing() -> None:
            # What is stopped is told to nobody: at the next start the same job goes on.
            with contextlib.suppress(Interrupted):
                done(await asyncio.get_running_loop().run_in_executor(self._threads, function, given))

        self._add(asyncio.ensure_future(doing()))

    def _add(self, job: asyncio.Future[None]) -> None:
        job.add_done_callback(self._done)
        self._jobs.add(job)

    def _done(self, job: asyncio.Future[None]) -> None:
        self._jobs.discard(job)
        if not job.cancelled() and (fault := job.exception()):
            self._faults.append(fault)
            self._end()

    def _end(self) -> None:
        self.ended.set()
        self._stirred.set()


def _acting(site: Site, role: Role) -> Site:
    """What a thing of this role brings to an installation: one that fails finds fault with everything."""
    return replace(site, check=lambda _: REFUSAL["message"]) if role.fails else site


def _member(place: Path, trust_file: Path, passphrase: bytes) -> Member | None:
    try:
        config = json.loads((place / bundle.CONFIG).read_bytes())
        if not config["keyFile"]:
            return None
        if config.get("keyEncrypted") and not passphrase:
            message = f"the private key of {config['thingName']} is encrypted"
            raise Usage(message, code=keys.CODE, hint="--passphrase-file FILE (its first line; - for standard input)")
        identity = Identity(
            thing_name=config["thingName"],
            endpoint=config["endpoint"],
            port=config["mqttPort"],
            certificate=place / config["certificateFile"],
            key=place / config["keyFile"],
            ca_file=place / config["rootCaFile"],
            certificate_id=config.get("certificateId", ""),
            passphrase=passphrase,
        )
        known = Self(config["thingName"], config.get("thingType") or "", tuple(config.get("thingGroups") or ()))
        site = Site(known, place.parent.with_name(STATE) / place.name, trust_file, _hosts(identity.endpoint))
        return Member(identity, Target(config["kind"], config["accountId"], config["region"]), site)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Integrity(f"the bundle {place} is damaged: {error}", hint=f"move it away: {place}") from error


def _hosts(endpoint: str) -> tuple[str, ...]:
    """Where a device downloads from: AWS, and of this machine only where it is at home here."""
    return (*download.AWS_HOSTS, *_HERE) if download.is_loopback(endpoint) else download.AWS_HOSTS
