"""How the lanes of a tail look: lines for a terminal, a table at the end. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from iotctl import text
from iotctl.result import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from iotctl.infer.follower import Follower, Lane

_BAR: Final = " ▏▎▍▌▋▊▉█"
_STEPS: Final = " ▁▂▃▄▅▆▇█"
_BAR_WIDTH: Final = 8
_DRIFTED: Final = 0.1
"""Bits: with two classes of the same size, one of which grew to 86 %."""


def view(follower: Follower, columns: int, lines: int) -> list[str]:
    """The lanes that fit, those with losses first, and one line over all of them."""
    lanes = sorted(follower.lanes.values(), key=lambda lane: (not lane.lost, lane.thing_name, lane.model_name))
    fitting = lanes[: max(1, lines - 3)]
    head = ("THING", "MODEL", "VERSION", "RATE/S", "P50 MS", "P99 MS", "LAST", "CONFIDENCE", "LOST", "DUPL.")
    table = [head, *(_cells(lane) for lane in fitting)]
    widths = [max(len(row[place]) for row in table) for place in range(len(head))]
    drawn = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    if len(lanes) > len(fitting):
        drawn.append(f"… {text.count(len(lanes) - len(fitting), 'more lane')}")
    return [line[:columns] for line in [*drawn, summary(follower)]]


def summary(follower: Follower, *, over: bool = False) -> str:
    """All lanes in one line; what is missing is always in it. When it is `over`, the rate is that of the whole."""
    lanes = follower.lanes.values()
    rate = sum(lane.statistics.rate if over else lane.rate for lane in lanes)
    limited = sum(lane.limited for lane in lanes)
    parts = [
        f"{text.count(follower.shown, 'prediction')} of {text.count(len(lanes), 'lane')}",
        *(() if over and not rate else (f"{rate:,.0f} a second",)),
        f"{sum(lane.lost for lane in lanes) - limited:,} lost",
        f"{sum(lane.duplicates for lane in lanes):,} duplicate",
    ]
    if limited:
        parts.append(f"{limited:,} held back by AWS's limit")
    if follower.dropped:
        parts.append(f"{follower.dropped:,} dropped here")
    if follower.reconnects:
        parts.append(text.count(follower.reconnects, "reconnect"))
    return ", ".join(parts)


def table(lanes: Iterable[Lane]) -> Table:
    """The figures of each lane."""
    columns = (
        *(Column("thingName", "THING"), Column("modelName", "MODEL"), Column("modelVersion", "VERSION")),
        *(Column("count", "COUNT"), Column("errors", "ERRORS"), Column("rate", "RATE/S")),
        *(Column("p50", "P50 MS"), Column("p90", "P90 MS"), Column("p99", "P99 MS")),
        *(Column("mix", "CLASS MIX"), Column("confidence", "CONFIDENCE 0-1"), Column("drift", "DRIFT")),
        *(Column("lost", "LOST"), Column("duplicates", "DUPL.")),
    )
    return Table(columns, [_figures(lane) for lane in lanes])


def _cells(lane: Lane) -> Sequence[str]:
    statistics = lane.statistics
    return (
        text.sanitize(lane.thing_name),
        text.sanitize(lane.model_name),
        text.sanitize(lane.version)[:16],
        f"{lane.rate:,.1f}",
        *(_milliseconds(statistics.latencies.percentile(share)) for share in (0.5, 0.99)),
        text.sanitize(lane.label or "")[:20],
        "" if lane.confidence is None else f"{lane.confidence:.2f} {_bar(lane.confidence)}",
        f"{lane.lost:,}",
        f"{lane.duplicates:,}",
    )


def _figures(lane: Lane) -> dict[str, Any]:
    found = lane.to_json()
    mix = [f"{label} {share:.0%}" for label, share in list(found["classMix"].items())[:6]]
    more = len(found["classMix"]) - len(mix)
    drift = found["drift"]
    return {
        **found,
        **{name: _milliseconds(value) for name, value in found["latencyMs"].items()},
        "rate": f"{found['rate']:.1f}",
        "mix": ", ".join([*mix, *([f"… {more} more"] if more else [])]),
        "confidence": _histogram(found["confidence"]),
        "drift": "" if drift is None else f"{drift:.3f}{' !' if drift > _DRIFTED else ''}",
    }


def _milliseconds(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _bar(share: float) -> str:
    eighths = round(max(0.0, min(1.0, share)) * _BAR_WIDTH * 8)
    return "█" * (eighths // 8) + (_BAR[eighths % 8] if eighths % 8 else "")


def _histogram(counts: Sequence[int]) -> str:
    most = max(counts) or 1
    return "".join(_STEPS[-(-number * 8 // most)] for number in counts).rstrip()
