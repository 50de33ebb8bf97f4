"""Orders as they are typed, and what they were found to mean, without an account."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from iotctl.ota import document, draft, order
from iotctl.ota.draft import Facts
from iotctl.ota.order import Order
from iotctl.ota.rollout import Record
from iotctl.ota.words import Words
from iotctl.pki.signing import SigningKey
from iotctl.target import Target
from iotctl.upload import Artifact

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
TARGET = Target("aws", "123456789012", "eu-west-1")
KEY = SigningKey.create()


def words(**changes: Any) -> dict[str, Any]:
    """The words of `iotctl ota create pump.bin -g pumps --release 1.4.0`, some of them changed."""
    return asdict(Words(artifact="pump.bin", release="1.4.0")) | {"thing_group": "pumps"} | changes


def ordered(**changes: Any) -> Order:
    """The order that they are."""
    return order.read(words(**changes))


def facts(asked: Order, things: int = 500, **changes: Any) -> Facts:
    """What it means: a group of so many things with one below it, a file of 1,000 bytes."""
    known: dict[str, Any] = {
        "target": TARGET,
        "artifact": Artifact(Path("pump.bin"), 1000, "a" * 64),
        "names": [f"pump-{number:04}" for number in range(things)],
        "groups": ("pumps", "pumps-north") if asked.scope.thing_group else (),
        "template": document.template(asked.template),
        "bucket": asked.bucket or TARGET.bucket,
        "role": asked.role or "arn:aws:iam::123456789012:role/iotctl-job-presign",
        "key": KEY,
        "now": NOW,
    }
    return Facts(**{**known, **changes})


def drafted(things: int = 500, **changes: Any) -> tuple[Order, Facts, Record]:
    """The rollout of some words, for so many things."""
    asked = ordered(**changes)
    found = facts(asked, things)
    return asked, found, draft.draft(asked, found)
