"""Jobs on the session's platform, and devices that report what a test of `watch`, `retry` or `cancel` wants of them."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from iotctl.ota import rhythm

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from iotctl.target import Platform


@dataclass
class Watched:
    """Things, and what operators and devices do."""

    prefix: str
    iot: Any
    data: Any

    def things(self, number: int) -> list[str]:
        """So many new things; their names."""
        names = [f"{self.prefix}-{uuid.uuid4().hex[:4]}-{one}" for one in range(number)]
        for name in names:
            self.iot.create_thing(thingName=name)
        return names

    def arns(self, names: Sequence[str]) -> list[str]:
        """The ARNs of things."""
        first: str = self.iot.describe_thing(thingName=names[0])["thingArn"]
        return [first.rpartition("/")[0] + f"/{name}" for name in names]

    def job(self, job_id: str, names: Sequence[str], **more: Any) -> str:
        """A job for things; its id, which no other test has."""
        made = f"{self.prefix}-{job_id}"
        self.iot.create_job(jobId=made, targets=self.arns(names), **{"document": '{"operation":"x"}', **more})
        return made

    def report(self, job_id: str, names: Sequence[str], status: str = "SUCCEEDED", **details: str) -> None:
        """Things report how a job goes, each starting it if it has not."""
        for name in names:
            self.data.update_job_execution(
                jobId=job_id, thingName=name, status=status, **({"statusDetails": details} if details else {})
            )


@pytest.fixture
def watched(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Watched:
    """An operator and devices; whoever watches looks often."""
    monkeypatch.setattr(rhythm, "SOONEST", 0.05)
    assert platform.http_url
    return Watched(f"o{uuid.uuid4().hex[:8]}", boto3.client("iot"), boto3.client("iot-jobs-data"))


@pytest.fixture
def lines() -> Callable[[str], list[dict[str, Any]]]:
    """JSON lines as values."""
    return lambda written: [json.loads(line) for line in written.splitlines()]
