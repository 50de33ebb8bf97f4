"""What a canary's cores predicted, and whether it is good enough."""

from __future__ import annotations

import json
from typing import Any

from iotctl import expression
from iotctl.infer import verdict

SHA = "ab" * 32


def message(seq: int, core: str = "c1", **more: Any) -> tuple[str, bytes]:
    """One prediction of release 1.1.0."""
    document = {
        "modelVersion": "1.1.0",
        "modelSha256": SHA,
        "bootId": "b",
        "seq": seq,
        "timestamp": "2026-01-01T00:00:00.000Z",
        "latencyMs": 2.0,
        "predictions": [{"label": "7", "confidence": 0.5}],
        **more,
    }
    return f"iotctl/predictions/{core}/digits", json.dumps(document).encode()


def tally(*messages: tuple[str, bytes]) -> verdict.Tally:
    """A tally of messages."""
    found = verdict.Tally("1.1.0", SHA)
    for each in messages:
        found.feed(*each)
    return found


def test_the_facts_are_of_this_release_alone() -> None:
    """Not of the one before, of another file of the same name, of a sample, or of what is no prediction."""
    found = tally(
        message(0, sample=True),
        message(1),
        message(2, modelVersion="1.0.0"),
        message(3, modelSha256="cd" * 32),
        ("iotctl/predictions/c1/digits", b"{"),
        message(4, error="boom", predictions=[], latencyMs=None),
    )
    facts = found.facts()
    assert (2, 0.5, 0.5) == (facts["predictions"], facts["errorRate"], facts["confidence"])
    assert 1.9 < facts["latencyMs"] < 2.1
    assert (0, {"c1"}) == (found.first and found.first.seq, found.cores)


def test_agreement_is_the_last_word_of_each_start() -> None:
    """The counts grow from 0 with each start of the program; of several cores and starts they add up."""
    found = tally(
        message(1, compared=5, agreed=4),
        message(2, compared=10, agreed=9),
        message(1, compared=4, agreed=4),
        message(3, bootId="second", compared=10, agreed=0),
        message(1, "c2", compared=20, agreed=20),
    )
    assert {"agreement": 0.725, "compared": 40} == {
        key: value for key, value in found.facts().items() if key in {"agreement", "compared"}
    }


def test_a_device_cannot_claim_more_agreement_than_there_is() -> None:
    """Numbers that cannot be are left out."""
    found = tally(
        message(1, compared=2, agreed=3), message(2, compared="9", agreed=9), message(3, compared=-1, agreed=-1)
    )
    assert "agreement" not in found.facts()


def test_the_verdict_has_its_reason() -> None:
    """What is not known is not good."""
    condition = expression.parse("errorRate <= 0.01 and agreement >= 0.9", where="--promote-if")
    good = tally(message(1, compared=10, agreed=9)).facts()
    assert "" == verdict.fault(good, condition)
    bad = verdict.fault(tally(message(1, compared=10, agreed=6)).facts(), condition)
    assert "not errorRate <= 0.01 and agreement >= 0.9" in bad
    assert "agreement 0.6" in bad
    assert "agreement unknown: nothing was compared" in verdict.fault(tally(message(1)).facts(), condition)
    assert "predictions 0" in verdict.fault(tally().facts(), condition)
