"""The only writer: table, TSV, JSON, quiet; stdout carries data, stderr words.

On a terminal a table is aligned and headed; in a pipe the same columns are tab-separated, headless, untruncated. `json`
is one envelope for a finite answer, JSON lines for a stream. Everything that others wrote is sanitised on its way.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TextIO

from iotctl import clock
from iotctl.errors import Exit, worst
from iotctl.result import Remark, Result
from iotctl.text import count, redact, sanitize

if TYPE_CHECKING:
    from iotctl.lines import Flow
    from iotctl.painter import Painter
    from iotctl.plan import Plan
    from iotctl.progress import Progress
    from iotctl.result import Column, Failure, Stream, Table

ENVELOPE_VERSION: Final = 1
_MOST_FAILURES_SHOWN: Final = 20
_MANY: Final = 100
_TOLD_EVERY: Final = 5.0
"""Seconds between two lines of progress, where there is no terminal to draw a bar on."""

_Flows = Callable[[], Mapping[str, "Flow"]]


class Output:
    """Writes what a command hands back, in one format, to one pair of streams."""

    def __init__(
        self, form: str = "table", *, color: bool = True, stdout: TextIO | None = None, stderr: TextIO | None = None
    ) -> None:
        self.form = form
        self._out = stdout or sys.stdout
        self._err = stderr or sys.stderr
        self._streaming = False
        self._color = color and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"

    @property
    def interactive(self) -> bool:
        """Whether a person can be asked: input and words both on a terminal."""
        return sys.stdin is not None and sys.stdin.isatty() and self._err.isatty()

    def result(self, command: str, result: Result, code: Exit) -> None:
        """Write a finite answer."""
        if self.form == "json":
            self._envelope(command, result.data, result.failures, code)
        elif self.form == "quiet" and result.table is not None:
            self._ids(result.table)
        elif result.text is not None:
            text = sanitize(result.text, multiline=True) if self._out.isatty() else result.text
            self._write(text if text.endswith("\n") or not text else f"{text}\n")
        elif result.table is not None:
            self._table(result.table)
        self.failures(result.failures)
        self.notes(result.notes)

    def stream(self, command: str, stream: Stream) -> Exit:
        """Write rows as they come, and how the stream ended; its exit code."""
        self._streaming = True
        self.notes(stream.notes)
        if stream.view and self.form == "table" and self._out.isatty() and os.environ.get("TERM") != "dumb":
            from iotctl.painter import Painter

            painter = Painter(self._out, stream.view)
            result = _driven(stream.rows, lambda batch: self._painted(batch, painter))
            painter.paint(now=True)
        else:
            keys = [column.key for column in stream.columns]
            result = _driven(stream.rows, lambda batch: self._batch(batch, keys))
        return self._closed(command, result or Result())

    def _painted(self, batch: Sequence[Mapping[str, Any] | Remark], painter: Painter) -> None:
        """Show what a batch changed; its remarks stay above what is drawn."""
        if remarks := [each for each in batch if isinstance(each, Remark)]:
            painter.clear()
            self._remarks(remarks)
        painter.paint()

    def _batch(self, batch: Sequence[Mapping[str, Any] | Remark], keys: list[str]) -> None:
        """Write several rows in one go, and hand them over."""
        if self.form == "json":
            lines = [
                _json({"type": each.type, **each.data} if isinstance(each, Remark) else {"type": "row", **each})
                for each in batch
            ]
        else:
            wanted = keys[: 1 if self.form == "quiet" else None]
            lines = [
                "\t".join([_cell(each.get(key)) for key in wanted]) for each in batch if not isinstance(each, Remark)
            ]
        if lines:
            self._write("\n".join(lines) + "\n")
            self._out.flush()
        if self.form != "json":
            self._remarks(each for each in batch if isinstance(each, Remark))

    def _remarks(self, remarks: Iterable[Remark]) -> None:
        for remark in remarks:
            self._say(sanitize(redact(remark.text)))

    def _closed(self, command: str, closing: Result) -> Exit:
        """Write how a stream ended."""
        self._streaming = False
        code = closing.exit or worst(*(failure.exit for failure in closing.failures))
        if self.form == "json":
            self._line({"type": "result", **_envelope(command, closing.data, closing.failures, code)})
            self.failures(closing.failures)
            self.notes(closing.notes)
        else:
            self.result(command, closing, code)
        return code

    def row(self, columns: tuple[Column, ...], row: Mapping[str, Any]) -> None:
        """Write one row of a result that settles bit by bit: its id when quiet, tab-separated else."""
        keys = [column.key for column in columns[: 1 if self.form == "quiet" else None]]
        self._write("\t".join(_cell(row.get(key)) for key in keys) + "\n")

    def flush(self) -> None:
        """Hand over what was written so far, so that a reader of the pipe sees how far it is."""
        self._out.flush()

    def streams(self, state: str) -> bool:
        """Whether a row of a long change is data of its own (a pipe), or a summary serves better (a terminal).

        What is quiet has no states, so that its ids are of what is done: they may be another command's scope.
        """
        if self.form == "quiet":
            return state == "done"
        return self.form == "table" and state != "planned" and not self._out.isatty()

    def failure(self, command: str, failures: tuple[Failure, ...], code: Exit) -> None:
        """Write that a command failed and has no answer."""
        if self.form == "json" and self._streaming:
            self._line({"type": "result", **_envelope(command, None, failures, code)})
        elif self.form == "json":
            self._envelope(command, None, failures, code)
        self.failures(failures)

    def failures(self, failures: tuple[Failure, ...]) -> None:
        """Say what went wrong, in three parts: what happened to what; why; what to type next."""
        for failure in failures[:_MOST_FAILURES_SHOWN]:
            where = f"{failure.on}: " if failure.on and failure.on not in failure.message else ""
            self._say(f"{self._paint('error:', 31)} {sanitize(redact(where + failure.message))}")
            if failure.cause:
                self._say(f"  cause: {sanitize(redact(failure.cause))}")
            if failure.hint:
                self._say(f"  next:  {sanitize(redact(failure.hint))}")
        if len(failures) > _MOST_FAILURES_SHOWN:
            self._say(f"… and {count(len(failures) - _MOST_FAILURES_SHOWN, 'more error')}; -o json lists them all")

    def notes(self, notes: Iterable[str]) -> None:
        """Say something to a person."""
        if self.form != "quiet":
            for note in notes:
                self._say(sanitize(redact(note), multiline=True))

    def plan(self, command: str, plan: Plan) -> None:
        """Show what would be done."""
        if self.form == "json":
            self._envelope(command, plan.to_json(), (), Exit.OK)
            return
        if self.form == "quiet":
            for row in plan.rows:
                self._write(f"{_cell(row['thingName'])}\n")
            return
        for op, number in plan.operations().items():
            self._write(f"{op}\t{number}\n" if not self._out.isatty() else f"  {op:<40} {number:>9,}\n")
        self.describe(plan)

    def describe(self, plan: Plan) -> None:
        """Say where, what and how long."""
        self._say(sanitize(f"{plan.target}: {plan.summary}"))
        if pace := plan.pace():
            self._say(pace)
        for change in plan.changes:
            self._say(sanitize(f"  {change}"))
        self.warn(plan)

    def warn(self, plan: Plan) -> None:
        """Say what the operator should know of it."""
        for warning in plan.warnings:
            self._say(f"{self._paint('warning:', 33)} {sanitize(warning)}")

    def ask(self, question: str) -> bool:
        """Ask a person; anything but yes is no."""
        self._err.write(f"{question} [y/N] ")
        self._err.flush()
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    @contextlib.contextmanager
    def progress(self, plan: Plan, before: int) -> Iterator[Callable[[Mapping[str, int], _Flows], None]]:
        """How far a run is, on stderr: a bar on a terminal, a line every few seconds else; yields `advance(…)`.

        Args:
            plan: of the run.
            before: how many of its things were done before.

        """
        from iotctl.progress import Progress

        began = clock.monotonic()
        run = Progress(len(plan.rows), plan.noun, plan.operations(), before=before, began=began)
        few = len(plan.rows) < _MANY and not self._err.isatty()
        if self.form == "quiet" or few:
            yield lambda _states, _flows: None
        elif self._err.isatty() and self._color:
            with self._bar(plan, run) as advance:
                yield advance
        else:
            told = began

            def tell(states: Mapping[str, int], flows: _Flows) -> None:
                nonlocal told
                now = clock.monotonic()
                if now - told >= _TOLD_EVERY:
                    told, fares = now, flows()
                    self._say(f"{run.words(states, fares, now)} [{run.stages(fares)}]")
                    self._err.flush()

            yield tell

    @contextlib.contextmanager
    def _bar(self, plan: Plan, run: Progress) -> Iterator[Callable[[Mapping[str, int], _Flows], None]]:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        columns = (BarColumn(bar_width=20), TextColumn("{task.description}\n{task.fields[stages]}"))
        with Bar(*columns, console=Console(file=self._err), transient=True, refresh_per_second=4) as bar:
            task = bar.add_task(plan.command, total=len(plan.rows), stages="")

            def advance(states: Mapping[str, int], flows: _Flows) -> None:
                fares = flows()
                words = run.words(states, fares, clock.monotonic())
                bar.update(task, completed=sum(states.values()), description=words, stages=run.stages(fares))

            yield advance

    def _table(self, table: Table) -> None:
        if not self._out.isatty():
            for row in table.rows:
                self._write("\t".join(_cell(row.get(column.key)) for column in table.columns) + "\n")
            return
        from rich.console import Console
        from rich.table import Table as RichTable
        from rich.text import Text

        console = Console(file=self._out, no_color=not self._color, highlight=False)
        drawn = RichTable(box=None, pad_edge=False, header_style="bold" if self._color else "")
        rows = [[_cell(row.get(column.key)) for column in table.columns] for row in table.rows]
        # Ids are copied into the next command: they stay in one piece where half of the line has room for them.
        whole = all(len(cells[0]) <= console.width // 2 for cells in rows)
        for place, column in enumerate(table.columns):
            drawn.add_column(Text(column.title or column.key), overflow="fold", no_wrap=whole and not place)
        for cells in rows:
            drawn.add_row(*map(Text, cells))
        console.print(drawn)

    def _ids(self, table: Table) -> None:
        key = table.columns[0].key
        for row in table.rows:
            self._write(f"{_cell(row.get(key))}\n")

    def _envelope(self, command: str, data: Any, failures: tuple[Failure, ...], code: Exit) -> None:  # noqa: ANN401
        self._write(f"{_json(_envelope(command, data, failures, code), indent=2)}\n")

    def _line(self, value: Mapping[str, Any]) -> None:
        self._write(f"{_json(value)}\n")

    def _write(self, text: str) -> None:
        self._out.write(text)

    def _say(self, line: str) -> None:
        self._err.write(f"{line}\n")

    def _paint(self, word: str, color: int) -> str:
        return f"\x1b[{color}m{word}\x1b[0m" if self._color and self._err.isatty() else word


def _driven(rows: Iterable[Any], write: Callable[[Sequence[Any]], None]) -> Result | None:
    """Write the items of a stream batch by batch; the Result that its generator returned, also after Ctrl-C."""
    items, interrupted = iter(rows), False
    with contextlib.suppress(KeyboardInterrupt):
        try:
            while True:
                try:
                    item = next(items)
                    write(item if isinstance(item, Sequence) else (item,))
                except KeyboardInterrupt:
                    if interrupted or not isinstance(items, Generator):
                        raise
                    interrupted = True
                    # It may have something left to say; a generator that was interrupted itself raises it again.
                    item = items.throw(KeyboardInterrupt)
                    write(item if isinstance(item, Sequence) else (item,))
        except StopIteration as end:
            result: Result | None = end.value
            return result
    return None


def _envelope(command: str, data: Any, failures: tuple[Failure, ...], code: Exit) -> dict[str, Any]:  # noqa: ANN401
    status = "ok" if code is Exit.OK else "partial" if data is not None else "error"
    return {
        "version": ENVELOPE_VERSION,
        "command": command,
        "status": status,
        "exitCode": int(code),
        "data": data,
        "errors": [{key: redact(value) for key, value in failure.to_json().items()} for failure in failures],
    }


def _json(value: Mapping[str, Any], indent: int | None = None) -> str:
    """JSON in ASCII; DEL is the one control character that json.dumps leaves."""
    return json.dumps(value, indent=indent, default=str).replace("\x7f", "\\u007f")


def _cell(value: Any) -> str:  # noqa: ANN401  any JSON value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ", ".join(_cell(item) for item in value)
    if isinstance(value, Mapping):
        return sanitize(json.dumps(value, default=str))
    return sanitize(str(value))
