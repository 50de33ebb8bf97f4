"""How a rollout looks: rows for a pipe, lines for a terminal, data for the envelope. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from iotctl import text
from iotctl.result import Column

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotctl.ota.executions import Job, Phase
    from iotctl.ota.progress import Speed
    from iotctl.ota.reasons import Group

COLUMNS: Final = (
    Column("jobId", "JOB"),
    Column("phase", "PHASE"),
    Column("status", "STATUS"),
    Column("things", "THINGS"),
    Column("succeeded", "SUCCEEDED"),
    Column("inProgress", "RUNNING"),
    Column("failed", "FAILED"),
    Column("rejected", "REJECTED"),
    Column("timedOut", "TIMED OUT"),
    Column("canceled", "CANCELED"),
    Column("neverReached", "NOT REACHED"),
    Column("perMinute", "A MINUTE"),
    Column("secondsLeft", "LEFT"),
)
PACE: Final = ("perMinute", "secondsLeft")
"""What of a row is how fast it goes: it changes all the time."""
_MOST_GROUPS: Final = 8
_BAR: Final = 40
_CELLS: Final = " ▏▎▍▌▋▊▉█"


def row(phase: Phase, speed: Speed | None = None) -> dict[str, Any]:
    """A phase in one row: a thing is in exactly one of its numbers, but for those that were removed."""
    job = phase.job
    counts = job.counts
    return {
        "jobId": job.job_id,
        "phase": phase.name,
        "status": job.status,
        "things": job.total,
        "succeeded": counts.succeeded,
        "inProgress": counts.in_progress,
        "failed": counts.failed,
        "rejected": counts.rejected,
        "timedOut": counts.timed_out,
        "canceled": counts.canceled,
        "neverReached": job.unreached,
        "queued": counts.queued,
        "removed": counts.removed,
        **pace(job, speed),
    }


def pace(job: Job, speed: Speed | None) -> dict[str, Any]:
    """How fast a job goes, and how long it may take; None: it is not known."""
    left = speed.seconds_left(job) if speed else None
    return {
        "perMinute": round(speed.per_minute) if speed else None,
        "secondsLeft": None if left is None else round(left),
    }


def view(
    title: str, rows: Sequence[Mapping[str, Any]], failures: Sequence[Group], columns: int, lines: int
) -> list[str]:
    """The phases, a bar over the last of them, and why things failed."""
    shown = ("phase", *(column.key for column in COLUMNS if column.key not in {"jobId", "phase"}))
    titles = {column.key: column.title for column in COLUMNS}
    table = [[titles[key] for key in shown], *([_cell(key, each[key]) for key in shown] for each in rows)]
    widths = [max(len(cells[place]) for cells in table) for place in range(len(shown))]
    drawn = [title, ""]
    for cells in table:
        first, *rest = zip(cells, widths, strict=True)
        drawn.append("  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]))
    drawn += [bar(rows[-1], min(_BAR, columns - 8)), ""] if rows else []
    room = max(0, min(_MOST_GROUPS, lines - len(drawn) - 1))
    drawn += [f"  {group}" for group in failures[:room]]
    if len(failures) > room:
        drawn.append(f"  … and {text.count(len(failures) - room, 'more reason')}")
    return [line[:columns] for line in drawn]


def bar(row: Mapping[str, Any], width: int) -> str:
    """How much of a phase has succeeded, to an eighth of a letter; it is full only when all of it has."""
    if not row["things"] or width < 1:
        return ""
    share = row["succeeded"] / row["things"]
    eighths = int(share * width * 8)
    full = "█" * (eighths // 8) + (_CELLS[eighths % 8] if eighths % 8 else "")
    return f"{full.ljust(width, '·')} {int(share * 100):>3} %"


def duration(seconds: float | None) -> str:
    """A duration in two units at most: `1h05m`, `2m30s`, `8s`; nothing for what nobody knows."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,}h{minutes:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


def _cell(key: str, value: Any) -> str:  # noqa: ANN401  any cell of a row
    if key == "secondsLeft":
        return duration(value)
    return "" if value is None else f"{value:,}" if isinstance(value, int) else text.sanitize(str(value))
