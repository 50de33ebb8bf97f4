"""A rollout is its jobs: ids that the same inputs make again, tags that name it, and a record beside the artifact.

A canary job at some of the things, if one is asked for, then one job at all of them. Whoever finds one of the jobs, on
any machine, finds in its tags how far it is and what it waits for, and where the record is: what does not fit into
tags, the requests of both jobs first of all. The tags name the record's digest, so that nobody who can only write to
the bucket can change a rollout under way.

Nothing here knows the time or touches AWS.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from iotctl import text
from iotctl.errors import Integrity, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CANARY: Final = "canary"
FLEET: Final = "fleet"
PHASES: Final = (CANARY, FLEET)
"""In the order in which they follow each other."""
RETRY: Final = "retry"
"""The phase of a job at those that failed: `retry`, then `retry-2`, …"""

LONGEST_JOB_ID: Final = 64
LONGEST_TAG: Final = 256
"""Characters of a tag's value."""
TAG: Final = "iotctl:"
"""What the keys of a rollout's tags begin with."""

_ELSEWHERE: Final = "@record"
_DIGITS: Final = 12
_VERSION: Final = 1
_JOB_ID: Final = re.compile(
    rf"(?P<rollout>[A-Za-z0-9_-]{{1,44}}-[0-9a-f]{{{_DIGITS}}})-(?P<phase>{CANARY}|{FLEET}|{RETRY}(?:-[0-9]{{1,2}})?)"
)
_ROLLOUT_ID: Final = re.compile(rf"[A-Za-z0-9_-]{{1,44}}-[0-9a-f]{{{_DIGITS}}}")
# The characters that AWS takes in the values of tags.
_TAGGABLE: Final = re.compile(r"[\w .:/=+@-]*")


def rollout_id(name: str, release: str, inputs: Mapping[str, Any]) -> str:
    """The id that the same inputs always have: `pump-fw-1-4-0-3f9ac01b22de`.

    Args:
        name: of what is rolled out.
        release: its release.
        inputs: everything that makes it this rollout and no other, as JSON: never a time, never a signature.

    """
    digest = hashlib.sha256(text.canonical({"name": name, "release": release, **inputs}).encode()).hexdigest()
    readable = "-".join(_words(word)[:most] for word, most in ((name, 24), (release, 16)))
    return f"{readable}-{digest[:_DIGITS]}"


def job_id(rollout: str, phase: str) -> str:
    """The id of a rollout's job; 64 characters at most."""
    return f"{rollout}-{phase}"


def parse_job_id(written: str) -> tuple[str, str] | None:
    """The rollout and the phase that a job id names; None: it is the id of no rollout's job."""
    found = _JOB_ID.fullmatch(written)
    return (found["rollout"], found["phase"]) if found else None


def named(written: str) -> str:
    """The rollout that was typed: its id, or that of one of its jobs.

    Raises:
        Usage: it is neither.

    """
    parsed = parse_job_id(written)
    if parsed is None and not _ROLLOUT_ID.fullmatch(written):
        raise Usage(f"{text.sanitize(written)!r} is not the id of a rollout", hint="iotctl ota list")
    return parsed[0] if parsed else written


@dataclass(frozen=True, slots=True)
class Goal:
    """When a phase has gone well, and what the fleet waits for after the canary.

    Attributes:
        passing: percent of a phase's things that must succeed.
        deadline: seconds from a phase's start until it is judged as it is then; 0: for ever.
        soak: seconds that the canary must have gone well before the fleet follows.
        gate: what the shadow of the canary's things must say before the fleet follows; empty: nothing.
        approve: whether someone must say yes before the fleet follows.

    """

    passing: Decimal = Decimal(100)
    deadline: float = 0
    soak: float = 0
    gate: str = ""
    approve: bool = False

    def to_json(self) -> dict[str, Any]:
        """The goal as the record holds it."""
        return {
            "pass": str(self.passing),
            "deadline": str(int(self.deadline)),
            "soak": str(int(self.soak)),
            "gate": self.gate,
            "approve": self.approve,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Goal:
        """The goal of a record.

        Raises:
            KeyError, TypeError, ValueError, ArithmeticError: it is none.

        """
        return cls(
            Decimal(value["pass"]), float(value["deadline"]), float(value["soak"]), value["gate"], value["approve"]
        )


@dataclass(frozen=True, slots=True)
class Record:
    """Everything that is known of a rollout when it begins; it never changes.

    Attributes:
        rollout_id: its id.
        name: of what is installed.
        release: of it.
        sha256: of the artifact, hex.
        size: of the artifact, bytes.
        place: where the artifact is, `s3://BUCKET/KEY`.
        scope: which things, in words.
        things: how many things each phase is for, by phase.
        goal: when it has gone well.
        document: the job document of both jobs; empty where a job template brings it.
        requests: CreateJob's parameters by phase, without the id, the document and the tags.
        created: when, as ISO 8601; for people.

    """

    rollout_id: str
    name: str
    release: str
    sha256: str
    size: int
    place: str
    scope: str
    things: Mapping[str, int]
    goal: Goal
    document: str
    requests: Mapping[str, Mapping[str, Any]]
    created: str = ""

    @property
    def first(self) -> str:
        """The phase that it begins with."""
        return CANARY if CANARY in self.requests else FLEET

    def content(self) -> bytes:
        """The record as it is kept: canonical JSON."""
        return text.canonical(
            {
                "v": _VERSION,
                "rolloutId": self.rollout_id,
                "artifact": {
                    "name": self.name,
                    "release": self.release,
                    "sha256": self.sha256,
                    "size": self.size,
                    "place": self.place,
                },
                "scope": self.scope,
                "things": self.things,
                "goal": self.goal.to_json(),
                "document": self.document,
                "requests": self.requests,
                "created": self.created,
            }
        ).encode()

    @classmethod
    def parse(cls, content: bytes) -> Record:
        """The record that some bytes hold.

        Raises:
            Integrity: they hold none, or one of a later version of this tool.

        """
        try:
            value = text.loads(content, name="the record")
            _check_version(value["v"])
            artifact = value["artifact"]
            return cls(
                rollout_id=value["rolloutId"],
                name=artifact["name"],
                release=artifact["release"],
                sha256=artifact["sha256"],
                size=artifact["size"],
                place=artifact["place"],
                scope=value["scope"],
                things=value["things"],
                goal=Goal.from_json(value["goal"]),
                document=value["document"],
                requests=value["requests"],
                created=value["created"],
            )
        except (Usage, KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            said = text.sanitize(str(error))
            raise Integrity(f"the record of the rollout cannot be read: {said}", code="Record") from error

    def request(self, phase: str, place: str, digest: str) -> dict[str, Any]:
        """CreateJob's parameters for a phase, whole.

        Args:
            phase: CANARY or FLEET.
            place: where this record is kept.
            digest: the SHA-256 of its content, hex.

        """
        tags = self.labels(phase, place, digest).tags()
        document = {"document": self.document} if self.document else {}
        return {"jobId": job_id(self.rollout_id, phase), **self.requests[phase], **document, "tags": tags}

    def labels(self, phase: str, place: str, digest: str) -> Labels:
        """What the tags of a phase's job say."""
        return Labels(self.rollout_id, phase, self.name, self.release, self.things[phase], self.goal, place, digest)


@dataclass(frozen=True, slots=True)
class Labels:
    """What the tags of a job say of its rollout.

    Attributes:
        rollout_id: the rollout.
        phase: of this job.
        name: of what is installed.
        release: of it.
        things: how many things this job is for, as they were counted when the rollout began.
        goal: when it has gone well; where its gate does not fit, it is None here and the record has it.
        record: where the record is, `s3://BUCKET/KEY`.
        digest: the SHA-256 of the record, hex.
        gate_elsewhere: whether the gate is in the record only.
        approved: when someone said yes, as ISO 8601; empty: nobody has.
        stopped: when someone stopped it before its fleet, as ISO 8601; empty: nobody has.

    """

    rollout_id: str
    phase: str
    name: str
    release: str
    things: int
    goal: Goal
    record: str
    digest: str
    gate_elsewhere: bool = False
    approved: str = ""
    stopped: str = ""

    def tags(self) -> list[dict[str, str]]:
        """The tags, as CreateJob takes them.

        Raises:
            Usage: the place of the record is too long for one.

        """
        gate = self.goal.gate
        values = {
            "rollout": self.rollout_id,
            "phase": self.phase,
            "artifact": self.name,
            "release": self.release,
            "things": str(self.things),
            "pass": str(self.goal.passing),
            "deadline": str(int(self.goal.deadline)),
            "soak": str(int(self.goal.soak)),
            "gate": gate if _fits(gate) else _ELSEWHERE,
            "approve": "yes" if self.goal.approve else "no",
            "record": self.record,
            "record-sha256": self.digest,
        }
        if not _fits(self.record):
            raise Usage("the key of the artifact is too long", hint="rename the file, or use a shorter --prefix")
        return [{"Key": TAG + key, "Value": value} for key, value in values.items() if value]

    @classmethod
    def parse(cls, tags: Iterable[Mapping[str, str]]) -> Labels | None:
        """What some tags say; None: they are not a rollout's.

        Raises:
            Integrity: they are, and one is missing or was changed to something that cannot be.

        """
        found = {tag["Key"].removeprefix(TAG): tag["Value"] for tag in tags if tag["Key"].startswith(TAG)}
        if "rollout" not in found:
            return None
        gate = found.get("gate", "")
        try:
            return cls(
                rollout_id=found["rollout"],
                phase=found["phase"],
                name=found["artifact"],
                release=found["release"],
                things=int(found["things"]),
                goal=Goal(
                    Decimal(found["pass"]),
                    float(found["deadline"]),
                    float(found["soak"]),
                    "" if gate == _ELSEWHERE else gate,
                    found["approve"] == "yes",
                ),
                record=found["record"],
                digest=found["record-sha256"],
                gate_elsewhere=gate == _ELSEWHERE,
                approved=found.get("approved", ""),
                stopped=found.get("stopped", ""),
            )
        except (KeyError, ValueError, InvalidOperation) as error:
            said = text.sanitize(str(error))
            raise Integrity(f"the tags of this job were changed: {said} is missing or wrong", code="Tags") from error


def approval(moment: str) -> list[dict[str, str]]:
    """The tag that says yes, put on the canary's job."""
    return [{"Key": f"{TAG}approved", "Value": moment}]


def stop(moment: str) -> list[dict[str, str]]:
    """The tag that says that no fleet follows, put on the canary's job."""
    return [{"Key": f"{TAG}stopped", "Value": moment}]


def _check_version(version: object) -> None:
    if version != _VERSION:
        raise ValueError(f"its version is {version}, and this iotctl reads {_VERSION}")


def _words(written: str) -> str:
    """A name with nothing in it that a job id cannot have."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", written).strip("-") or "x"


def _fits(value: str) -> bool:
    return len(value) <= LONGEST_TAG and _TAGGABLE.fullmatch(value) is not None
