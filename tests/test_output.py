"""The only writer: what a person, a pipe and a script read."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl.errors import Exit
from iotctl.output import Output
from iotctl.plan import Plan, Step
from iotctl.result import Column, Failure, Remark, Result, Stream, Table
from iotctl.target import Target

_COLUMNS = (Column("thingName", "THING"), Column("state"))
_HOSTILE = "".join(map(chr, range(0x100))) + "\u202e\u200b\ufeff[/foo][bold]"


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _result(*rows: dict[str, Any], **changes: Any) -> Result:
    return Result({"things": list(rows)}, Table(_COLUMNS, rows), **changes)


def _written(form: str, result: Result, code: Exit = Exit.OK, *, terminal: bool = False) -> tuple[str, str]:
    kind = _Terminal if terminal else io.StringIO
    stdout, stderr = kind(), kind()
    Output(form, stdout=stdout, stderr=stderr).result("onboard status", result, code)
    return stdout.getvalue(), stderr.getvalue()


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, ""),
        (True, "true"),
        (7, "7"),
        (["a", 1], "a, 1"),
        ({"a": None}, '{"a": null}'),
        ("a\tb\nc", "a\\x09b\\x0ac"),
    ],
)
def test_a_pipe_gets_columns_without_a_head(value: object, cell: str) -> None:
    """Tab-separated, untruncated, one line a row whatever is in the cells."""
    assert (f"pump\t{cell}\n", "") == _written("table", _result({"thingName": "pump", "state": value}))


def test_quiet_is_ids_and_errors() -> None:
    """One id a line; notes are left out."""
    result = _result({"thingName": "a"}, {"thingName": "b"}, notes=("told",), failures=(Failure("X", "bad"),))
    assert ("a\nb\n", "error: bad\n") == _written("quiet", result)


def test_json_is_one_envelope() -> None:
    """Always the same keys; the failures are in it and on stderr."""
    failure = Failure("X", "bad", on="pump", hint="mend it", cause="because")
    stdout, stderr = _written("json", _result({"thingName": "pump"}, failures=(failure,)), Exit.PARTIAL)
    assert {
        "version": 1,
        "command": "onboard status",
        "status": "partial",
        "exitCode": 3,
        "data": {"things": [{"thingName": "pump"}]},
        "errors": [{"code": "X", "message": "bad", "on": "pump", "hint": "mend it", "cause": "because"}],
    } == json.loads(stdout)
    assert "error: pump: bad\n  cause: because\n  next:  mend it\n" == stderr


@pytest.mark.parametrize(
    ("code", "data", "status"), [(Exit.OK, None, "ok"), (Exit.PARTIAL, [], "partial"), (Exit.AUTH, None, "error")]
)
def test_the_status_of_an_envelope(code: Exit, data: object, status: str) -> None:
    """In one word for scripts."""
    assert status == json.loads(_written("json", Result(data), code)[0])["status"]


@pytest.mark.parametrize("form", ["table", "json", "quiet"])
@pytest.mark.parametrize("terminal", [True, False])
def test_hostile_text_never_reaches_the_output_raw(form: str, terminal: bool) -> None:
    """Cells, notes, failures and documents with every byte value: only our own line ends are controls."""
    failure = Failure("X", _HOSTILE, on=_HOSTILE, hint=_HOSTILE, cause=_HOSTILE)
    result = _result({"thingName": _HOSTILE, "state": {_HOSTILE: _HOSTILE}}, notes=(_HOSTILE,), failures=(failure,))
    for written in _written(form, result, Exit.PARTIAL, terminal=terminal):
        controls = {one for one in written if ord(one) < 0x20 or 0x7F <= ord(one) < 0xA0 or one in "\u202e\u200b\ufeff"}
        assert controls <= {"\n", "\t"}, "a tab stands between cells, and in a note"


def test_a_document_is_as_it_is_in_a_pipe_and_safe_on_a_terminal() -> None:
    """`shadow get` feeds other programs; a terminal is not driven by it."""
    result = Result(text="\x1b]0;owned\x07")
    assert ("\x1b]0;owned\x07\n", "\\x1b]0;owned\\x07\n") == (
        _written("table", result)[0],
        _written("table", result, terminal=True)[0],
    )


@given(st.text())
def test_a_failure_keeps_the_envelope_whole(message: str) -> None:
    """Secrets are taken out of the messages, never out of the JSON around them."""
    stdout = io.StringIO()
    texts = (message, 'Authorization: x"y', 'Signature=a"b', "-----BEGIN PRIVATE KEY-----", '"signature": "q"')
    failures = tuple(Failure("X", f"{message}{text}") for text in texts)
    Output("json", stdout=stdout, stderr=io.StringIO()).failure("c", failures, Exit.TEMPORARY)
    envelope = json.loads(stdout.getvalue())
    assert (5, "error", None, 5) == (
        envelope["exitCode"],
        envelope["status"],
        envelope["data"],
        len(envelope["errors"]),
    )
    assert "PRIVATE KEY" not in stdout.getvalue()


@pytest.mark.parametrize(("form", "expected"), [("table", ["done", "failed"]), ("quiet", ["done"]), ("json", [])])
def test_rows_of_a_long_change(form: str, expected: list[str]) -> None:
    """Of a pipe: all that has settled, with its state; quiet, ids of what is done: they may be another's scope."""
    states = ("done", "failed", "planned")
    assert expected == [state for state in states if Output(form, stdout=io.StringIO()).streams(state)]
    if form == "table":
        assert not any(map(Output(form, stdout=_Terminal()).streams, states))


def test_only_so_many_failures_are_told() -> None:
    """A person sees the first twenty and how many more; the envelope has all."""
    failures = tuple(Failure("X", f"bad {number}", on=f"t{number}") for number in range(25))
    stdout, stderr = io.StringIO(), io.StringIO()
    Output("json", stdout=stdout, stderr=stderr).failure("c", failures, Exit.PARTIAL)
    lines = stderr.getvalue().splitlines()
    assert (21, "error: t0: bad 0", "… and 5 more errors; -o json lists them all") == (len(lines), lines[0], lines[-1])
    assert 25 == len(json.loads(stdout.getvalue())["errors"])


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("table", "a\t1\nb\t2\n"),
        ("quiet", "a\nb\n"),
        ("json", '{"type": "row", "thingName": "a", "state": 1}\n{"type": "row", "thingName": "b", "state": 2}\n'),
    ],
)
def test_a_stream_is_lines(form: str, expected: str) -> None:
    """Rows as they come; JSON lines end with the envelope."""
    stdout = io.StringIO()
    rows = ({"thingName": name, "state": number} for number, name in enumerate("ab", 1))
    Output(form, stdout=stdout, stderr=io.StringIO()).stream("c", Stream(_COLUMNS, rows))
    assert stdout.getvalue().startswith(expected)
    rest = stdout.getvalue().removeprefix(expected)
    if form == "json":
        end = json.loads(rest)
        assert ("result", "ok", 0, []) == (end["type"], end["status"], end["exitCode"], end["errors"])
    else:
        assert "" == rest


_GAP = Remark("gap", "gap: 2 messages lost\x1b", {"lost": 2})


def _streamed(form: str, rows: Iterable[Any], *, terminal: bool = False, **options: Any) -> tuple[Exit, str, str]:
    kind = _Terminal if terminal else io.StringIO
    stdout, stderr = kind(), kind()
    code = Output(form, stdout=stdout, stderr=stderr).stream("c", Stream(_COLUMNS, rows, **options))
    return code, stdout.getvalue(), stderr.getvalue()


def test_what_stands_between_rows_has_its_own_type_or_is_words() -> None:
    """A remark is a JSON line, in its place; in text it is on stderr and never among the rows, also when quiet."""
    rows = [[{"thingName": "a"}, _GAP], [], {"thingName": "b"}]
    lines = [json.loads(line) for line in _streamed("json", rows)[1].splitlines()]
    assert ["row", "gap", "row", "result"] == [line["type"] for line in lines]
    assert {"type": "gap", "lost": 2} == lines[1]
    words = "gap: 2 messages lost\\x1b\n"
    assert (Exit.OK, "a\t\nb\t\n", words) == _streamed("table", rows)
    assert (Exit.OK, "a\nb\n", words) == _streamed("quiet", rows)


@pytest.mark.parametrize("ending", ["by itself", "Ctrl-C within", "Ctrl-C while it is written"])
def test_a_stream_ends_with_what_its_generator_returns(monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    """Its data close the JSON lines and its code is the command's, also after Ctrl-C, wherever that struck."""

    def rows() -> Iterator[dict[str, Any]]:
        try:
            yield {"thingName": "a"}
            if ending == "Ctrl-C within":
                interrupted()
        except KeyboardInterrupt:
            assert ending != "by itself"
            yield []
        return Result({"rows": 1}, failures=(Failure("Late", "too few", exit=Exit.TIMEOUT),))

    strikes = iter([True])

    def interrupted(*_: object) -> None:
        if next(strikes, False):
            raise KeyboardInterrupt

    if ending == "Ctrl-C while it is written":
        monkeypatch.setattr(Output, "_batch", interrupted)
    code, stdout, stderr = _streamed("json", rows())
    end = json.loads(stdout.splitlines()[-1])
    assert (Exit.TIMEOUT, 13, {"rows": 1}) == (code, end["exitCode"], end["data"])
    assert "error: too few\n" == stderr


def test_a_view_is_drawn_in_place_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last drawing stays, remarks stand above it, hostile lines drive nothing, and a pipe gets the rows."""
    monkeypatch.setenv("TERM", "xterm")
    rows: list[Any] = [{"thingName": "a"}, [], [_GAP], [{"thingName": "b"}]]
    shown = iter(("one\x1b[2J", "two", "three", "four"))
    _, stdout, stderr = _streamed("table", rows, terminal=True, view=lambda _columns, _lines: [next(shown)])
    assert "gap: 2 messages lost\\x1b\n" == stderr
    assert "one\\x1b[2J\x1b[K\n" in stdout
    assert stdout.endswith("\x1b[?7l\x1b[1Fthree\x1b[K\n\x1b[J\x1b[?7h")
    assert "a\t\nb\t\n" == _streamed("table", rows, view=lambda _columns, _lines: ["never"])[1]


def test_a_table_on_a_terminal_is_aligned_and_headed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person sees titles; long cells fold, nothing is cut."""
    monkeypatch.setenv("COLUMNS", "40")
    stdout, _ = _written("table", _result({"thingName": "x" * 60, "state": "done"}), terminal=True)
    head, *lines = stdout.splitlines()
    assert ["THING", "state"] == head.split()
    assert 60 == stdout.count("x")
    assert all(40 >= len(line) for line in lines)


def test_an_id_stays_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is copied into the next command; what stands beside it folds."""
    monkeypatch.setenv("COLUMNS", "40")
    row = {"thingName": "1de8712484ac", "state": "y" * 60}
    stdout, _ = _written("table", _result(row), terminal=True)
    assert "1de8712484ac" in stdout.split()
    assert 60 == stdout.count("y")


@pytest.mark.parametrize(
    ("variables", "color", "painted"),
    [({}, True, True), ({"NO_COLOR": "1"}, True, False), ({"TERM": "dumb"}, True, False), ({}, False, False)],
)
def test_colours_are_for_terminals_that_want_them(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], color: bool, painted: bool
) -> None:
    """NO_COLOR, a dumb terminal and --no-color take them away; a pipe never has any."""
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    terminal, pipe = _Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        Output(color=color, stdout=io.StringIO(), stderr=stream).failures((Failure("X", "bad"),))
    assert (painted, False) == ("\x1b[31m" in terminal.getvalue(), "\x1b" in pipe.getvalue())


def _plan(kind: str) -> Plan:
    rows = ({"thingName": "a", "line": 2}, {"thingName": "b", "line": 3})
    each = (Step("iot:CreateThing"), Step("iot:RegisterCertificateWithoutCA"))
    return Plan("c", "r", Target(kind, "1", "r"), "register 2 things", each=each, rows=rows, warnings=("odd\x1b",))


@pytest.mark.parametrize(
    ("form", "expected"),
    [("table", "iot:CreateThing\t2\niot:RegisterCertificateWithoutCA\t2\n"), ("quiet", "a\nb\n")],
)
def test_a_plan_is_shown(form: str, expected: str) -> None:
    """Its calls, or its things; where, how long and what is odd on stderr."""
    stdout, stderr = io.StringIO(), io.StringIO()
    Output(form, stdout=stdout, stderr=stderr).plan("c", _plan("aws"))
    assert expected == stdout.getvalue()
    if form == "table":
        assert [
            "AWS, account 1, region r: register 2 things",
            "at AWS's default quotas this takes at least 1 s; iot:RegisterCertificateWithoutCA binds",
            "warning: odd\\x1b",
        ] == stderr.getvalue().splitlines()
