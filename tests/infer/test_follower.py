"""Following many lanes: rows, and what is told between them."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from iotctl import expression
from iotctl.infer import follower as following
from iotctl.infer import lanes
from iotctl.infer.follower import Follower
from iotctl.infer.gaps import SETTLE_SECONDS
from tests.infer.test_predictions import message


def feed(follower: Follower, *numbers: int, now: float = 1.0, thing: str = "core-1", **changes: Any) -> list[Any]:
    """Messages with these numbers; the rows of those that have one."""
    topic = f"iotctl/predictions/{thing}/digits"
    rows = [follower.feed(topic, json.dumps(message(seq=seq, **changes)).encode(), now) for seq in numbers]
    return [row for row in rows if row is not None]


def told(follower: Follower, now: float) -> list[tuple[str, Any]]:
    """What is told by now: the type, and how much."""
    remarks = follower.tick(now)
    return [(each.type, each.data.get("lost", each.data.get("messages"))) for each in remarks]


_EVENTS = st.lists(
    st.tuples(st.sampled_from(["core-1", "core-2"]), st.sampled_from(["a", "b"]), st.integers(0, 30), st.booleans()),
    min_size=1,
    max_size=120,
)


@given(_EVENTS)
def test_what_is_told_is_the_ground_truth_of_every_boot(events: list[tuple[str, str, int, bool]]) -> None:
    """Q1 over lanes and restarts: lost less late, and duplicates, are what the sequence numbers say."""
    follower, now, said = Follower(), 1.0, Counter[str]()
    seen: dict[tuple[str, str], list[int]] = {}
    for thing, boot, seq, tick in events:
        feed(follower, seq, now=now, thing=thing, bootId=boot)
        seen.setdefault((thing, boot), []).append(seq)
        if tick:
            now += SETTLE_SECONDS
            for kind, number in told(follower, now):
                said[kind] += number or 0
    for remark in follower.end(now):
        said[remark.type] += remark.data.get("lost", remark.data.get("messages"))
    lost = sum(max(each) - min(each) + 1 - len(set(each)) for each in seen.values())
    twice = sum(len(each) - len(set(each)) for each in seen.values())
    assert (lost, twice) == (said["gap"] - said["late"], said["duplicate"])
    assert lost == sum(lane.lost for lane in follower.lanes.values())
    assert twice == sum(lane.duplicates for lane in follower.lanes.values())


def test_starts_long_ago_are_forgotten_and_stay_counted() -> None:
    """A program that starts again and again takes no more room; what each start lost is told and summed."""
    follower, lost = Follower(), 0
    for boot in range(50):
        feed(follower, 1, 3, bootId=f"boot-{boot}")
        lost += sum(number for kind, number in told(follower, 1.0) if kind == "gap")
    lost += sum(remark.data["lost"] for remark in follower.end(1.0) if remark.type == "gap")
    (lane,) = follower.lanes.values()
    assert (50, 50, following.MOST_BOOTS) == (lost, lane.lost, len(lane.streams))


def test_a_restart_is_told_with_the_model_that_runs_then() -> None:
    """Once for each new start."""
    follower = Follower()
    feed(follower, 5)
    feed(follower, 0, bootId="boot-2", modelVersion="1.1.0", modelSha256="cd" * 32)
    (remark,) = follower.tick(1.0)
    assert ("restarted", "restarted: core-1/digits now runs 1.1.0 (cdcdcdcdcdcd)") == (remark.type, remark.text)


def test_what_aws_held_back_is_told_apart() -> None:
    """Where a connection received just what AWS sends one at most, what is missing is its limit's doing."""
    follower = Follower()
    feed(follower, 1, 5)
    (remark,) = follower.tick(1.0 + SETTLE_SECONDS, limited=True)
    assert ("limited", 3) == (remark.type, remark.data["lost"])
    assert "held back by AWS's limit of 100 a second" in remark.text
    assert "0 lost, 0 duplicate, 3 held back by AWS's limit" in lanes.summary(follower)


def test_a_model_with_another_digest_is_flagged_and_told_once() -> None:
    """P19: what runs is compared with what should."""
    follower = Follower(expected={("core-1", "digits"): "ab" * 32})
    right, wrong, again = feed(follower, 1) + feed(follower, 2, 3, modelSha256="cd" * 32)
    assert (None, True, True) == (right.get("unexpected"), wrong["unexpected"], again["unexpected"])
    assert [("unexpected", 1)] == told(follower, 1.0)


def test_samples_are_shown_and_never_counted() -> None:
    """They are no statistics; their numbers are still part of the sequence."""
    follower = Follower()
    (row,) = feed(follower, 0, sample=True)
    feed(follower, 1)
    assert (True, 1, []) == (row["sample"], follower.shown, list(follower.end(9.0)))
    assert {"3": 1.0} == next(iter(follower.lanes.values())).statistics.mix


def test_a_filter_chooses_rows_and_figures_but_no_gap_hides_behind_it() -> None:
    """--where is about predictions; what is missing is told of all."""
    follower = Follower(where=expression.parse("confidence < 0.5", where="--where").holds)
    assert [] == feed(follower, 1, 4)
    assert [5] == [row["seq"] for row in feed(follower, 5, predictions=[{"label": "3", "confidence": 0.4}])]
    assert (1, [("gap", 2)]) == (follower.shown, told(follower, 9.0))


def test_the_model_failing_is_counted_as_an_error() -> None:
    """Not as a prediction; but it is shown."""
    follower = Follower()
    assert 1 == len(feed(follower, 1, predictions=[], error="wrong shape"))
    statistics = next(iter(follower.lanes.values())).statistics
    assert (0, 1) == (statistics.count, statistics.errors)


def test_unreadable_messages_are_told_together() -> None:
    """Several of a kind at once, with the last one's reason, safe for a terminal."""
    follower = Follower()
    for _ in range(3):
        follower.feed("iotctl/predictions/core-1/digits", b'{"seq": "\x1b[2J"}', 1.0)
    (remark,) = follower.tick(1.0)
    assert ("unreadable", 3) == (remark.type, remark.data["messages"])
    assert "\x1b" not in remark.text


def test_more_lanes_than_are_followed_are_shown_and_told(monkeypatch: Any) -> None:
    """Memory is bounded, and that something is not counted is said."""
    monkeypatch.setattr(following, "MOST_LANES", 2)
    follower = Follower()
    rows = [row for number in range(5) for row in feed(follower, 1, thing=f"core-{number}")]
    assert (5, 2, [("unfollowed", 3)]) == (len(rows), len(follower.lanes), told(follower, 1.0))


def test_the_view_fits_and_shows_losses_first() -> None:
    """A head, the lanes that fit, how many more there are, and the sum; nothing wider than the terminal."""
    follower = Follower()
    for number in range(30):
        feed(follower, *((1, 2) if number != 17 else (1, 9)), thing=f"core-{number:02}")
    drawn = lanes.view(follower, 60, 12)
    assert 12 == len(drawn)
    assert drawn[0].startswith("THING")
    assert drawn[1].startswith("core-17")
    assert "… 21 more lanes" == drawn[-2]
    assert drawn[-1].startswith("60 predictions of 30 lanes")
    assert all(len(line) <= 60 for line in drawn)
