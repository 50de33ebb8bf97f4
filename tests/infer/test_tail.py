"""`infer tail` against the platform: real sockets, lost connections, hostile payloads, floods."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from iotctl import clock, expression, pki
from iotctl.context import Context
from iotctl.errors import Auth, Exit
from iotctl.inbox import Inbox
from iotctl.infer import tail
from iotctl.infer.tail import Wanted
from iotctl.mqtt import Connection
from iotctl.result import Remark, Result
from tests.botocores import client
from tests.conftest import Ran, clean_environment
from tests.infer.test_predictions import message
from tests.local.clients import allow, create_policy, register
from tests.test_mqtt import as_device, control, operator, state, taken

if TYPE_CHECKING:
    from iotctl.target import Platform


class Followed:
    """A tail that runs on a thread of its own; what it gave until now, and how it ended."""

    def __init__(self, wanted: Wanted, context: Any = None) -> None:
        self.items: list[Any] = []
        self.result: Result | None = None
        self.error: BaseException | None = None
        self.follower = wanted.follower()
        self._ready = threading.Event()
        self._rows = tail.live(context or Context(local=True), wanted, self.follower)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        # The first batch, an empty one, comes once it is subscribed.
        assert self._ready.wait(15) or self.error

    def _run(self) -> None:
        try:
            while True:
                self.items += next(self._rows)
                self._ready.set()
        except StopIteration as end:
            self.result = end.value
        except BaseException as error:  # noqa: BLE001  it is raised where the tail is waited for
            self.error = error
            self._ready.set()

    def end(self) -> Result:
        """Wait for its end."""
        self._thread.join(20)
        assert not self._thread.is_alive(), "it did not end"
        if self.error:
            raise self.error
        assert self.result
        return self.result

    def until(self, condition: Callable[[], Any], seconds: float = 30) -> None:
        """Wait until something is so."""
        deadline = clock.monotonic() + seconds
        while not condition():
            assert clock.monotonic() < deadline, self.items[-5:]
            assert self.error is None, self.error
            clock.sleep(0.02)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The predictions that came."""
        return [item for item in self.items if not isinstance(item, Remark)]

    def told(self, kind: str) -> list[Remark]:
        """The remarks of a type."""
        return [item for item in self.items if isinstance(item, Remark) and item.type == kind]


@pytest.fixture
def thing(platform: Platform) -> str:
    """The name of a core device that nobody else has."""
    name = f"core-{uuid.uuid4().hex[:8]}"
    client("iot").create_thing(thingName=name)
    return name


@pytest.fixture
def publish(platform: Platform, thing: str) -> Callable[..., None]:
    """Publish as that core device does: numbers, or whole payloads."""
    data = client("iot-data")

    def send(*payloads: int | bytes, model: str = "digits", **changes: Any) -> None:
        for payload in payloads:
            body = payload if isinstance(payload, bytes) else json.dumps(message(seq=payload, **changes)).encode()
            data.publish(topic=f"iotctl/predictions/{thing}/{model}", payload=body, qos=1)

    return send


def test_predictions_come_as_rows_and_what_is_missing_is_told(thing: str, publish: Callable[..., None]) -> None:
    """In order, with what was lost and what came twice; the figures close it."""
    tailed = Followed(Wanted([thing], count=5))
    publish(1, 2, 5, 5)
    publish(6)
    result = tailed.end()
    assert [1, 2, 5, 5, 6] == [row["seq"] for row in tailed.rows]
    assert [(3, 4, 2)] == [(g.data["firstSeq"], g.data["lastSeq"], g.data["lost"]) for g in tailed.told("gap")]
    assert [1] == [each.data["messages"] for each in tailed.told("duplicate")]
    (lane,) = result.data["lanes"]
    assert (5, 2, 1, {"3": 1.0}) == (lane["count"], lane["lost"], lane["duplicates"], lane["classMix"])
    assert not result.failures


def test_conditions_choose_and_end(thing: str, publish: Callable[..., None]) -> None:
    """--where passes over what does not hold, --until ends with the first that does."""
    where = expression.parse("latencyMs > 1", where="--where")
    tailed = Followed(Wanted([thing], where=where, until=expression.parse('label == "7"', where="--until")))
    publish(1, predictions=[{"label": "7", "confidence": 1}])
    publish(2, latencyMs=2)
    publish(3, latencyMs=2, predictions=[{"label": "7", "confidence": 1}])
    tailed.end()
    assert [2, 3] == [row["seq"] for row in tailed.rows]


def test_too_few_in_time_is_a_timeout(iotctl: Callable[..., Ran], thing: str) -> None:
    """For CI: exit 13, the envelope says how many came."""
    ran = iotctl("infer", "tail", thing, "--count", "2", "--for", "0.3s", "-o", "json")
    end = json.loads(ran.stdout.splitlines()[-1])
    assert (13, "result", 13, 0) == (ran.code, end["type"], end["exitCode"], end["data"]["predictions"])
    assert "0 of 2 predictions came within 0.3 s" in ran.stderr


def test_who_is_not_there_is_followed_by_nobody(iotctl: Callable[..., Ran], platform: Platform) -> None:
    """Exit 8, in words; a thing and a group, whichever command looks at them; what was typed is read before that."""
    for command in ("tail", "status", "feedback"):
        for scope, words in ((("nobody",), "no thing nobody"), (("-g", "none"), "no thing group none")):
            ran = iotctl("infer", command, *scope)
            assert (8, True) == (ran.code, f"error: there is {words}\n" in ran.stderr)
    ran = iotctl("infer", "tail", "nobody", "--where", "a..b == 1")
    assert (2, True) == (ran.code, "a key of a path is empty at '..b == 1'" in ran.stderr)


def test_several_connections_share_what_comes(thing: str, publish: Callable[..., None]) -> None:
    """Each message comes once, whatever connection it takes; another order is no loss."""
    tailed = Followed(Wanted([thing], count=60, connections=3))
    publish(*range(60))
    result = tailed.end()
    assert list(range(60)) == sorted(row["seq"] for row in tailed.rows)
    assert (0, 0) == (result.data["lanes"][0]["lost"], result.data["lanes"][0]["duplicates"])


def test_a_record_played_again_is_the_same_tail(
    iotctl: Callable[..., Ran], tmp_path: Path, thing: str, publish: Callable[..., None]
) -> None:
    """Rows, gaps and figures; and a record is never replaced."""
    record = tmp_path / "monday.ndjson"
    tailed = Followed(Wanted([thing], count=4, record=str(record)))
    publish(1, 2, 9, 9)
    tailed.end()
    ran = iotctl("infer", "tail", "--replay", str(record), "-o", "json")
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    assert 0 == ran.code
    assert [row["seq"] for row in tailed.rows] == [line["seq"] for line in lines if line["type"] == "row"]
    assert [6] == [line["lost"] for line in lines if line["type"] == "gap"]
    assert {"3": 1.0} == lines[-1]["data"]["lanes"][0]["classMix"]
    again = iotctl("infer", "tail", thing, "--record", str(record))
    assert (12, True) == (again.code, "none is replaced" in again.stderr)
    with record.open("a") as more:
        more.write(json.dumps({"time": 1.0, "topic": "short", "payload": ""}) + "\n")
    assert 0 == iotctl("infer", "tail", thing, "--replay", str(record)).code
    (tmp_path / "no-record").write_text("{}\n")
    assert 2 == iotctl("infer", "tail", "--replay", str(tmp_path / "no-record")).code


def test_figures_in_place_of_rows(
    iotctl: Callable[..., Ran], tmp_path: Path, thing: str, publish: Callable[..., None]
) -> None:
    """--stats: a line for each lane."""
    record = tmp_path / "r"
    tailed = Followed(Wanted([thing], count=2, record=str(record)))
    publish(1, 2)
    tailed.end()
    ran = iotctl("infer", "tail", "--replay", str(record), "--stats")
    cells = ran.stdout.rstrip("\n").split("\t")
    assert (thing, "digits", "1.0.0", "2", "0") == tuple(cells[:5])
    assert "3 100%" in cells
    assert "2 predictions of 1 lane" in ran.stderr


HOSTILE = [
    b"\x1b[2J\x1b]52;c;aGk=\x07",
    b"\x9b31m",
    "\u202e\u2066bidi".encode(),
    b"[/foo][bold]",
    b"\xff\xfe\xfd",
    b"\x00",
    b"x" * 100_000,
    b"[" * 100_000,
    json.dumps({"seq": 1, "predictions": [{"label": "\x1b[31m\u202e\x9b[/foo]", "confidence": 1}]}).encode(),
    json.dumps(message(seq=2, modelVersion="\x1b]0;owned\x07", bootId="\n\r\x00", error="\x1b[2J")).encode(),
]


@pytest.mark.parametrize("form", ["table", "json", "quiet"])
def test_hostile_payloads_drive_nothing(
    iotctl: Callable[..., Ran], tmp_path: Path, thing: str, publish: Callable[..., None], form: str
) -> None:
    """Fault 64: escaped wherever they are shown, the tail goes on; JSON gives back the same text."""
    record = tmp_path / "hostile"
    tailed = Followed(Wanted([thing], count=3, record=str(record)))
    publish(*HOSTILE, 3)
    tailed.end()
    ran = iotctl("infer", "tail", "--replay", str(record), "-o", form)
    assert 0 == ran.code
    assert 8 == sum(each.data["messages"] for each in tailed.told("unreadable"))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u2066]", ran.stdout + ran.stderr)
    if form == "json":
        rows = [json.loads(line) for line in ran.stdout.splitlines()]
        assert ["\x1b[31m\u202e\x9b[/foo]", "3", "3"] == [row["label"] for row in rows if row["type"] == "row"]


def test_a_flood_is_bounded_and_what_it_cost_is_counted(thing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 65: where the reader does not keep up, the oldest go and are counted; nothing is missing in silence."""
    monkeypatch.setattr(tail, "WAITING", 50)
    monkeypatch.setattr(tail, "_GATHER_SECONDS", 0.5)
    number = 2000
    platform = Context(local=True).platform
    # The latest stay, so the last one comes, however slow this machine is.
    tailed = Followed(Wanted([thing], until=expression.parse(f"seq == {number - 1}", where="--until"), seconds=60))
    with operator(platform) as sender:
        topic = f"iotctl/predictions/{thing}/digits"
        sent = [sender.publish(topic, json.dumps(message(seq=seq)).encode()) for seq in range(number)]
        for each in sent:
            each.result(20)
    result = tailed.end()
    dropped = sum(each.data["messages"] for each in tailed.told("dropped"))
    assert (number, dropped) == (len(tailed.rows) + dropped, result.data["dropped"])
    assert dropped > 0
    assert 1 == len(tailed.follower.lanes)


@pytest.fixture
def own_platform(tmp_path: Path) -> Iterator[tuple[Platform, dict[str, str]]]:
    """A platform that the test may stop and start."""
    environment = {**os.environ, **clean_environment(tmp_path)}
    control("up", environment)
    yield state(tmp_path), environment
    control("down", environment)


class Elsewhere:
    """What a tail needs of a command's context, on connections of the test's choosing."""

    def __init__(self, target: Any, connect: Callable[[Inbox[Any]], Connection]) -> None:
        self.target = target
        self.operator = connect


def test_a_broker_that_restarts_is_told_and_the_tail_goes_on(
    own_platform: tuple[Platform, dict[str, str]], thing: str
) -> None:
    """Fault 58: disconnected, reconnected after so long, subscribed again, what was missed is counted.

    The credentials are asked for again then, so that those that run out are renewed.
    """
    platform, environment = own_platform
    asked: list[float] = []

    def credentials() -> tuple[str, str, str | None]:
        asked.append(clock.monotonic())
        return platform.access_key_id, platform.secret_access_key, None

    elsewhere = Elsewhere(None, lambda inbox: operator(platform, credentials=credentials, inbox=inbox))
    tailed = Followed(Wanted([thing]), elsewhere)

    def send(seq: int) -> None:
        with operator(platform) as other:
            topic = f"iotctl/predictions/{thing}/digits"
            tailed.until(lambda: other.publish(topic, json.dumps(message(seq=seq)).encode()).result(10) and _came(seq))

    def _came(seq: int) -> bool:
        clock.sleep(0.1)
        return any(row["seq"] == seq for row in tailed.rows)

    send(1)
    before = len(asked)
    control("down", environment)
    control("up", environment)
    tailed.until(lambda: tailed.told("reconnected"))
    send(18)
    tailed.until(lambda: tailed.told("gap"))
    assert "reconnected after" in tailed.told("reconnected")[0].text
    assert 16 == tailed.told("gap")[0].data["lost"]
    assert len(asked) > before


@pytest.mark.parametrize("changes", [{"ca_file": "another CA"}, {"endpoint": "127.1"}], ids=["CA", "host"])
def test_a_server_that_is_not_trusted_ends_it_soon(
    platform: Platform, thing: str, tmp_path: Path, changes: dict[str, str]
) -> None:
    """Fault 59: an error of trust within five seconds, with the reason; no storm of retries."""
    if "ca_file" in changes:
        changes = {"ca_file": str(tmp_path / "ca.pem")}
        (tmp_path / "ca.pem").write_text(pki.Authority.create("another").certificate_pem)
    started = clock.monotonic()
    elsewhere = Elsewhere(None, lambda inbox: operator(platform, inbox=inbox, **changes))
    with pytest.raises(Auth) as raised:
        Followed(Wanted([thing]), elsewhere).end()
    assert clock.monotonic() - started < 5
    assert ("Tls", True) == (raised.value.code, bool(raised.value.cause))


def test_a_certificate_that_is_revoked_meanwhile_ends_it(platform: Platform, thing: str, tmp_path: Path) -> None:
    """Fault 60: the broker drops the connection, it is tried again a few times, then it is an error of permission."""
    iot = client("iot")
    policy = create_policy(iot, allow("iot:*"))
    device = register(iot, pki.Authority.create("factory"), tmp_path, thing, policy)

    def connect(inbox: Inbox[Any]) -> Connection:
        return as_device(platform, device, inbox=inbox)

    tailed = Followed(Wanted([thing]), Elsewhere(None, connect))
    iot.update_certificate(certificateId=device.certificate_id, newStatus="REVOKED")
    with pytest.raises(Auth):
        tailed.end()
    assert 1 == len(tailed.told("disconnected"))


def test_a_refused_subscription_names_the_statement_that_allows_it(
    platform: Platform, thing: str, tmp_path: Path
) -> None:
    """Fault 61: exit 7, the topic filter, and IAM statements to paste."""
    iot = client("iot")
    policy = create_policy(iot, allow("iot:Connect"))
    device = register(iot, pki.Authority.create("factory"), tmp_path, thing, policy)
    target = Context(local=True).target

    def connect(inbox: Inbox[Any]) -> Connection:
        return as_device(platform, device, inbox=inbox)

    with pytest.raises(Auth) as raised:
        Followed(Wanted([thing]), Elsewhere(target, connect)).end()
    statements = json.loads(raised.value.hint.partition("IAM policy: ")[2])
    assert (Exit.AUTH, f"iotctl/predictions/{thing}/+") == (raised.value.exit, raised.value.on)
    assert ["iot:Connect", "iot:Subscribe", "iot:Receive"] == [each["Action"] for each in statements]
    assert [target.arn(f"topicfilter/iotctl/predictions/{thing}/+")] == statements[1]["Resource"]
    assert [target.arn(f"topic/iotctl/predictions/{thing}/*")] == statements[2]["Resource"]


def test_two_tails_never_take_the_connection_from_each_other(platform: Platform, thing: str) -> None:
    """Fault 62: each connection has an id of its own."""
    one, other = (operator(platform).client_id for _ in range(2))
    assert one != other
    assert re.fullmatch("iotctl-[0-9a-f]{8}", one)


def test_a_payload_above_the_limit_closes_only_its_sender(thing: str, publish: Callable[..., None]) -> None:
    """Fault 63: 128 KiB and a byte never reach the tail, which goes on; 128 KiB do."""
    platform = Context(local=True).platform
    tailed = Followed(Wanted([thing], count=1))
    topic = f"iotctl/predictions/{thing}/digits"
    with operator(platform) as sender:
        sender.publish(topic, b"x" * (128 * 1024 + 1))
        (notice,) = taken(sender, 1)
        assert "lost" == getattr(notice, "kind", "")
    with operator(platform) as sender:
        sender.publish(topic, b"y" * (128 * 1024)).result(20)
    publish(1)
    tailed.end()
    (remark,) = tailed.told("unreadable")
    assert (1, True) == (remark.data["messages"], len(remark.text) < 1000)


def test_a_reader_that_goes_away_ends_it_well(platform: Platform, platform_home: Path, tmp_path: Path) -> None:
    """`infer tail … | head -1`: exit 0, no words."""
    record = tmp_path / "r"
    good = json.dumps(message()).encode()
    line = json.dumps({"time": 1.0, "topic": "iotctl/predictions/c/m", "payload": base64.b64encode(good).decode()})
    record.write_text(f"{line}\n" * 20_000)
    command = f"{sys.executable} -m iotctl infer tail --replay {record} -q; echo code $? >&2"
    ran = subprocess.run(
        ["bash", "-c", f"({command}) | head -1"], capture_output=True, text=True, timeout=30, check=True
    )
    assert ("c\n", "code 0") == (ran.stdout, ran.stderr.strip().splitlines()[-1])
