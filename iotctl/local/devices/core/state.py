"""What a core must know after a restart, in one file that is always whole."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from iotctl import files
from iotctl.errors import Integrity

if TYPE_CHECKING:
    from pathlib import Path

FILE: Final = "state.json"
_VERSION: Final = 1
_SEQUENCE_STEP: Final = 100  # so many reports of health are numbered by one write


@dataclass(slots=True)
class Installed:
    """A component that runs here.

    Attributes:
        arn: of its version.
        recipe: its content.
        configuration: of it.
        changed: when the newest deployment that changed its configuration was created, milliseconds since 1970.

    """

    version: str
    arn: str
    recipe: dict[str, Any]
    configuration: dict[str, Any]
    changed: int = 0


@dataclass(slots=True)
class Group:
    """The last deployment of a thing group, or of this thing.

    Attributes:
        arn: of its configuration.
        created: milliseconds since 1970.
        components: versions by name.

    """

    arn: str
    created: int
    components: dict[str, str]


@dataclass(slots=True)
class Report:
    """How a deployment ended, to be told until the cloud has it.

    Attributes:
        job_id: empty: it came by shadow.
        status: SUCCEEDED, FAILED or REJECTED.
        detailed: of the same, in detail.
        roots: the components that it names.

    """

    job_id: str
    arn: str
    deployment_id: str
    status: str
    detailed: str
    cause: str = ""
    stack: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    roots: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        """Of the deployment."""
        return self.job_id or self.arn


@dataclass(slots=True)
class State:
    """Everything; `save` makes it durable.

    Attributes:
        components: what runs, by name.
        groups: by `thinggroup/NAME` or `thing/NAME`.
        membership: the groups that this thing was in when it last asked.
        reports: not yet acknowledged, the oldest first.

    """

    path: Path
    components: dict[str, Installed] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    membership: list[str] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    reserved: int = 0
    _next: int = 0

    @classmethod
    def load(cls, directory: Path) -> State:
        """What was saved; a new one where nothing was.

        Raises:
            Integrity: the file is damaged.

        """
        path = directory / FILE
        try:
            found = json.loads(path.read_bytes())
            assert found["version"] == _VERSION, f"it is of version {found['version']}"
            return cls(
                path,
                {name: Installed(**one) for name, one in found["components"].items()},
                {name: Group(**one) for name, one in found["groups"].items()},
                found["membership"],
                [Report(**one) for one in found["reports"]],
                found["reserved"],
                found["reserved"],
            )
        except FileNotFoundError:
            return cls(path)
        except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
            raise Integrity(f"{path} is damaged: {error}", hint=f"move {directory} away: it begins anew") from error

    def save(self) -> None:
        """Write it durably."""
        content = {
            "version": _VERSION,
            "components": {name: asdict(one) for name, one in self.components.items()},
            "groups": {name: asdict(one) for name, one in self.groups.items()},
            "membership": self.membership,
            "reports": [asdict(one) for one in self.reports],
            "reserved": self.reserved,
        }
        files.replace(self.path, json.dumps(content, separators=(",", ":")).encode())

    def sequence(self) -> int:
        """The next number of a report of health: it only ever grows."""
        if self._next >= self.reserved:
            self.reserved = self._next + _SEQUENCE_STEP
            self.save()
        self._next += 1
        return self._next
