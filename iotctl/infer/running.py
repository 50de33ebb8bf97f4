"""Which models run where, by digest: what each core says of itself against what Greengrass was given. Read-only."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from iotctl.errors import Denied, NotFound
from iotctl.infer import observe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from iotctl.aws import Aws


_MOST_TOLD: Final = 10


@dataclass(frozen=True, slots=True)
class Running:
    """One model on one core: what the core says of itself, and what Greengrass knows.

    Attributes:
        release: that is installed.
        state: of the component, or of the program's own report: running, refused.
        sha256: of the model that runs, as the program reports it.
        expected: of the model that the release's recipe names.

    """

    thing_name: str
    model_name: str
    release: str
    state: str
    sha256: str
    expected: str
    since: str = ""
    refused: Mapping[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """`same`, `differs`, or `unknown` where one of the digests is not known."""
        if not self.sha256 or not self.expected:
            return "unknown"
        return "same" if self.sha256 == self.expected else "differs"

    def row(self) -> dict[str, Any]:
        """As `infer status` shows it."""
        found: dict[str, Any] = {
            "thingName": self.thing_name,
            "modelName": self.model_name,
            "modelVersion": self.release,
            "state": self.state,
            "modelSha256": self.sha256,
            "digest": self.verdict,
            "since": self.since,
        }
        if self.verdict == "differs":
            found["expectedSha256"] = self.expected
        if self.refused:
            found["refused"] = dict(self.refused)
        return found


def running(aws: Aws, thing_names: Sequence[str], prefix: str, shadow_name: str) -> Iterator[Running | tuple[str, str]]:
    """The models of these cores; of one that is none, or runs none, its name and why."""
    digests: dict[tuple[str, str], str] = {}
    for thing_name in thing_names:
        try:
            pages = aws.pages("greengrassv2:ListInstalledComponents", coreDeviceThingName=thing_name)
            installed = [one for page in pages for one in page.get("installedComponents", ())]
        except NotFound:
            yield thing_name, "is no Greengrass core, or has never reported"
            continue
        models = [one for one in installed if one["componentName"].startswith(prefix)]
        reported = _reported(aws, thing_name, shadow_name) if models else {}
        if not models:
            yield thing_name, "runs no model"
        for one in models:
            name, release = one["componentName"].removeprefix(prefix), one.get("componentVersion") or ""
            key = (one["componentName"], release)
            if key not in digests:
                digests[key] = observe.expected_digest(observe.recipe(aws, *key))
            said = reported.get(name)
            said = said if isinstance(said, dict) else {}
            refused = said.get("refused")
            yield Running(
                thing_name,
                name,
                release,
                str(one.get("lifecycleState", "")),
                str(said.get("sha256", "")),
                digests[key],
                str(said.get("since", "")),
                refused if isinstance(refused, dict) else {},
            )


def told(without: Sequence[str]) -> tuple[str, ...]:
    """What a person reads of things without a model: a fleet of devices that are no cores would fill a terminal."""
    left = len(without) - _MOST_TOLD
    return (*without[:_MOST_TOLD], *((f"{left:,} more run no model either; -o json names them",) if left > 0 else ()))


def _reported(aws: Aws, thing_name: str, shadow_name: str) -> Mapping[str, Any]:
    try:
        answer = aws.call("iot-data:GetThingShadow", thingName=thing_name, shadowName=shadow_name)
        found = json.loads(answer["payload"])["state"]["reported"]["models"]
    except (NotFound, Denied, KeyError, TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
