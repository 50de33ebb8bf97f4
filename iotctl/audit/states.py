"""Read-only: what things are and do: shadows, connectivity, components; from the fleet index where it is on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from iotctl import shadows
from iotctl.errors import Error
from iotctl.scope import SEARCH_PAGE
from iotctl.semantics.checks.declared import MODELS
from iotctl.semantics.checks.fleet import Connectivity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotctl.audit.observe import Wanted
    from iotctl.reading import Reading


@dataclass
class States:
    """Reads what things are and do, as far as it is wanted.

    Attributes:
        source: where the shadows are from, in words; empty: each was read itself.

    """

    reading: Reading
    wanted: Wanted
    source: str = ""
    _entries: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    _held: shadows.Held = field(default_factory=shadows.Held)

    def index(self) -> None:
        """What the fleet index has of the things, where it has something that is needed."""
        chosen = self.wanted.things
        if (
            isinstance(chosen, Sequence)
            or self.wanted.live
            or self.wanted.sample
            or not self.wanted.about("shadows", "connectivity")
        ):
            return
        try:
            self._held = shadows.held(self.reading.aws)
            wanted = any(map(self._held.has, self._names())) or self._held.connectivity
            found = list(shadows.entries(self.reading.aws, chosen)) if wanted else []
        except Error:
            return  # nothing is lost: whatever it has is read itself then
        self.reading.calls["iot:SearchIndex"] += -(-len(found) // SEARCH_PAGE)
        self._entries = {entry["thingName"]: entry for entry in found}
        if found:
            self.source = "shadows are as the fleet index has them; --live reads each"

    def _names(self) -> list[str]:
        """The shadows that are looked at; the classic one is the empty name."""
        baseline = self.wanted.baseline
        named = {key[1] for key in baseline.keys("shadow")} if baseline else set()
        if baseline and baseline.keys("model"):
            named.add(MODELS)
        return sorted({"", *named})

    def documents(self, things: Mapping[str, Any]) -> dict[str, dict[str, str]]:
        """The shadows of each thing, by their names, as JSON texts; the classic one is the empty name."""
        found: dict[str, dict[str, str]] = {}
        for shadow_name in self._names():
            indexed = self._entries if self._held.has(shadow_name) else {}
            for name in indexed.keys() & things.keys():
                if document := shadows.document(indexed[name], shadow_name):
                    found.setdefault(name, {})[shadow_name] = json.dumps(document)
            missing = [name for name in things if name not in indexed]
            more = {"shadowName": shadow_name} if shadow_name else {}
            op = "iot-data:GetThingShadow"
            for name, written in self.reading.each("shadows", op, "thingName", missing, _payload, **more):
                found.setdefault(name, {})[shadow_name] = written
        return found

    def connectivity(self, things: Mapping[str, Any]) -> dict[str, Connectivity]:
        """Whether each thing is connected, and since when."""
        indexed = self._entries if self._held.connectivity else {}
        found = {name: indexed[name].get("connectivity", {}) for name in indexed.keys() & things.keys()}
        # The index may drop the time after an hour; asked for a single thing, AWS knows it.
        missing = [name for name in things if not found.get(name, {}).get("timestamp")]
        op = "iot:GetThingConnectivityData"
        found |= dict(self.reading.each("connectivity", op, "thingName", missing, _connection))
        return {name: _connectivity(facts) for name, facts in found.items()}

    def components(self, things: Mapping[str, Any]) -> dict[str, dict[str, str]]:
        """The Greengrass components of core devices; of which a baseline says something."""
        if not (self.wanted.baseline and self.wanted.baseline.keys("component")):
            return {}
        op = "greengrassv2:ListCoreDevices"
        listed = self.reading.listed("shadows", op, "coreDevices", maxResults=100)
        cores = [core["coreDeviceThingName"] for core in listed if core["coreDeviceThingName"] in things]
        op, member = "greengrassv2:ListInstalledComponents", "installedComponents"
        return {
            core: {
                one["componentName"]: one["componentVersion"]
                for one in self.reading.listed(
                    "shadows", op, member, coreDeviceThingName=core, topologyFilter="ALL", maxResults=100
                )
            }
            for core in cores
        }


def _payload(answer: dict[str, Any]) -> str:
    return bytes(answer["payload"]).decode()


def _connection(answer: dict[str, Any]) -> dict[str, Any]:
    """As the fleet index has it: milliseconds since 1970."""
    at = answer.get("timestamp")
    return {"connected": answer.get("connected", False), **({"timestamp": at.timestamp() * 1000} if at else {})}


def _connectivity(facts: Mapping[str, Any]) -> Connectivity:
    at = facts.get("timestamp")
    return Connectivity(facts.get("connected", False), datetime.fromtimestamp(at / 1000, UTC) if at else None)
