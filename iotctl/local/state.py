"""The platform's state directory: what is where, whether a platform runs on it, and the ports that it keeps.

<state>/local/
├── lock            held by the running platform: the truth about "is it running"
├── platform.json   where it is reached, for clients; written when it is ready
├── platform.db     everything it knows
├── platform.log
├── clock.json      how its clock went, where it was ever turned: it goes on from there, and never back
├── ports.json      kept by `reset`, so that the bundles of devices stay good
├── crl/            revocation lists that its audits go by, put there by whoever runs it
└── ca/             its CA, the key and certificate of its servers
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from iotctl import clock, files
from iotctl.errors import Locked
from iotctl.target import Platform

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LOG_LIMIT: Final = 16 * 1024 * 1024
_PORTS: Final = ("http", "mqtt", "https")
_ATTEMPTS: Final = 10
_PAUSE_SECONDS: Final = 0.02


@dataclasses.dataclass(frozen=True, slots=True)
class Ports:
    """The TCP ports on 127.0.0.1; 0: the system chooses one."""

    http: int = 4510
    mqtt: int = 8883
    https: int = 8443


@dataclasses.dataclass(frozen=True, slots=True)
class State:
    """A state directory."""

    directory: Path

    @classmethod
    def here(cls) -> State:
        """The one of this user, moved by IOTCTL_HOME as every state is."""
        return cls(files.state_home() / "local")

    @property
    def lock(self) -> Path:
        """Held by the running platform."""
        return self.directory / "lock"

    @property
    def description(self) -> Path:
        """Where the platform is reached."""
        return self.directory / "platform.json"

    @property
    def database(self) -> Path:
        """The store."""
        return self.directory / "platform.db"

    @property
    def log(self) -> Path:
        """What the platform says."""
        return self.directory / "platform.log"

    @contextlib.contextmanager
    def hold(self, what: str) -> Iterator[None]:
        """Hold the lock while the block runs.

        Raises:
            Locked: a platform runs here.

        """
        with contextlib.ExitStack() as held:
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    held.enter_context(files.run_lock(self.lock, what))
                    break
                except Locked:
                    # Someone who only asks whether a platform runs has the lock for an instant.
                    if attempt == _ATTEMPTS:
                        raise
                    clock.sleep(_PAUSE_SECONDS)
            yield

    def running(self) -> bool:
        """Whether a process holds the lock."""
        return files.is_locked(self.lock)

    def platform(self) -> Platform | None:
        """The platform that runs here and is ready; None where none is.

        Raises:
            Local: the description is damaged.

        """
        if not self.running():
            return None
        found = self._json(self.description)
        return Platform.from_json(found) if found else None

    def pid(self) -> int | None:
        """The process that wrote the description, if it is still that process and not a later one with its number."""
        found = self._json(self.description)
        pid = found.get("pid")
        if not isinstance(pid, int) or not self.running():
            return None
        return pid if found.get("processStart") == process_start(pid) else None

    def course(self, speed: float) -> clock.Course:
        """How the clock of a platform that starts now goes: on from where the last one's would be by now."""
        path, real = self.directory / "clock.json", clock.real_now().timestamp()
        before = clock.Course(**self._json(path))
        if speed == before.speed:
            return before
        course = clock.Course(real, before.shown(real), speed)
        files.replace(path, json.dumps(dataclasses.asdict(course)).encode() + b"\n")
        return course

    def conditions(self) -> list[str]:
        """The options that the running platform was started with to be hindered, delayed or hurried."""
        found = self._json(self.description).get("conditions")
        return found if isinstance(found, list) else []

    def describe(self, platform: Platform, conditions: Iterable[str] = ()) -> None:
        """Write where the platform is reached, and under which conditions: it is ready."""
        content = {
            "httpUrl": platform.http_url,
            "mqttPort": platform.mqtt_port,
            "httpsPort": platform.https_port,
            "caFile": platform.ca_file,
            "accountId": platform.account_id,
            "region": platform.region,
            "pid": platform.pid,
            "accessKeyId": platform.access_key_id,
            "secretAccessKey": platform.secret_access_key,
            "processStart": process_start(platform.pid),
            "conditions": list(conditions),
            "clock": dataclasses.asdict(platform.course),
        }
        files.replace(self.description, json.dumps(content, indent=2).encode() + b"\n")

    def ports(self) -> Ports | None:
        """The ports that were kept, if any."""
        found = self._json(self.directory / "ports.json")
        if set(found) != set(_PORTS) or not all(isinstance(port, int) for port in found.values()):
            return None
        return Ports(**found)

    def keep_ports(self, ports: Ports) -> None:
        """Keep the ports for the next time."""
        content = {name: getattr(ports, name) for name in _PORTS}
        files.replace(self.directory / "ports.json", json.dumps(content).encode() + b"\n")

    def forget_description(self) -> None:
        """The platform is no longer there."""
        self.description.unlink(missing_ok=True)

    def roll_log(self) -> None:
        """Begin a new log where the old one is large; one old log is kept."""
        with contextlib.suppress(FileNotFoundError):
            if self.log.stat().st_size > LOG_LIMIT:
                self.log.replace(self.log.with_suffix(".log.1"))

    def clear(self) -> None:
        """Remove everything but the ports and the lock. The caller holds the lock."""
        for entry in self.directory.iterdir():
            if entry.name in {"ports.json", self.lock.name}:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    @staticmethod
    def _json(path: Path) -> dict[str, Any]:
        try:
            value = json.loads(path.read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return value if isinstance(value, dict) else {}


def process_start(pid: int) -> int | None:
    """When a process began, in the kernel's ticks, so that a reused number is noticed; None where it is unknown."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    return int(fields[19])
