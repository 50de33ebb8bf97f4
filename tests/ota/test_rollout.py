"""A rollout's ids, tags and record: made of the inputs, and read back as they were."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl.errors import Integrity, Usage
from iotctl.ota import rollout
from iotctl.ota.rollout import CANARY, FLEET, Goal, Labels, Record

GOAL = Goal(Decimal("97.5"), 86400, 1800, 'reported.fw == "1.4.0"', approve=True)
RECORD = Record(
    rollout_id="pump-fw-1-4-0-0123456789ab",
    name="pump-fw",
    release="1.4.0",
    sha256="a" * 64,
    size=3,
    place="s3://bucket/ota/key/pump.bin",
    scope="thing group north",
    things={CANARY: 2, FLEET: 40},
    goal=GOAL,
    document='{"operation":"install"}',
    requests={CANARY: {"targets": ["arn:one"]}, FLEET: {"targets": ["arn:group"]}},
    created="2026-01-31T00:00:00Z",
)


def test_the_same_inputs_have_the_same_id() -> None:
    """The id does not depend on the order in which the inputs are named."""
    one = rollout.rollout_id("pump-fw", "1.4.0", {"a": 1, "b": [2]})
    assert one == rollout.rollout_id("pump-fw", "1.4.0", {"b": [2], "a": 1})
    assert one.startswith("pump-fw-1-4-0-")
    assert one != rollout.rollout_id("pump-fw", "1.4.0", {"a": 1, "b": [3]})


@given(st.text(min_size=1, max_size=64), st.text(min_size=1, max_size=64), st.sampled_from((CANARY, FLEET, "retry-12")))
def test_every_job_id_is_one_that_aws_takes(name: str, release: str, phase: str) -> None:
    """Whatever the names hold, the id has AWS's characters, 64 of them at most, and is read back."""
    found = rollout.rollout_id(name, release, {})
    written = rollout.job_id(found, phase)
    assert rollout.LONGEST_JOB_ID >= len(written)
    assert (found, phase) == rollout.parse_job_id(written)
    assert found == rollout.named(written) == rollout.named(found)


def test_what_is_no_rollout_is_refused() -> None:
    """Another job's id is no rollout's, and typing it is a usage error."""
    assert rollout.parse_job_id("nightly-canary") is None
    with pytest.raises(Usage, match="nightly"):
        rollout.named("nightly")


@pytest.mark.parametrize("phase", rollout.PHASES)
def test_tags_are_read_back_as_they_were_written(phase: str) -> None:
    """What the tags say comes back, but for a gate that AWS would not take in a tag."""
    labels = RECORD.labels(phase, "s3://bucket/ota/key/record.json", "b" * 64)
    tags = labels.tags()
    assert replace(labels, goal=replace(GOAL, gate=""), gate_elsewhere=True) == Labels.parse(tags)
    plain = replace(labels, goal=Goal(gate="reported.ok"))
    assert plain == Labels.parse([{"Key": "team", "Value": "north"}, *plain.tags()])


def test_an_approval_is_read_from_the_tags() -> None:
    """Someone has said yes."""
    labels = RECORD.labels(CANARY, "s3://bucket/key", "b" * 64)
    found = Labels.parse([*labels.tags(), *rollout.approval("2026-02-01T00:00:00Z")])
    assert found is not None
    assert "2026-02-01T00:00:00Z" == found.approved


def test_the_tags_of_another_job_say_nothing() -> None:
    """A job without our tags is no rollout's; one that lost some of them is told so."""
    assert Labels.parse([{"Key": "team", "Value": "north"}]) is None
    tags = RECORD.labels(CANARY, "s3://bucket/key", "b" * 64).tags()
    with pytest.raises(Integrity, match="release"):
        Labels.parse([tag for tag in tags if tag["Key"] != "iotctl:release"])


def test_a_record_is_read_back_as_it_was_written() -> None:
    """The record holds all of a rollout."""
    assert Record.parse(RECORD.content()) == RECORD
    with pytest.raises(Integrity, match="cannot be read"):
        Record.parse(b'{"v":1}')
    with pytest.raises(Integrity, match="version is 2"):
        Record.parse(RECORD.content().replace(b'"v":1', b'"v":2'))


def test_a_request_is_all_that_createjob_takes() -> None:
    """The id, what the phase asks for, the document and the tags."""
    request = RECORD.request(FLEET, "s3://bucket/key", "b" * 64)
    assert {"jobId", "targets", "document", "tags"} == set(request)
    assert f"{RECORD.rollout_id}-fleet" == request["jobId"]
    assert {"Key": "iotctl:things", "Value": "40"} in request["tags"]
