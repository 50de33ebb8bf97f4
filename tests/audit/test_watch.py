"""`audit watch` and `audit trend`: only what is new and what is healed is told, wherever it was asked for."""

from __future__ import annotations

import contextlib
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs

import pytest

from iotctl.audit import notify
from iotctl.audit.history import Changed
from iotctl.context import Context
from iotctl.errors import Usage
from tests import vectors
from tests.botocores import client
from tests.local.clients import until

if TYPE_CHECKING:
    from iotctl.target import Platform
    from tests.conftest import Ran

    Iotctl = Callable[..., Ran]

CHECKS = ("--check", "THING_WITHOUT_CERTIFICATE_CHECK", "--check", "SHADOW_OFF_BASELINE_CHECK")


class Listener:
    """An HTTP server on this machine that keeps what is posted to it, and answers as it is told."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.paths: list[str] = []
        self.status = 200
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                listener.paths.append(self.path)
                listener.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                answer = b"<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>"
                self.send_response(listener.status)
                self.send_header("x-amzn-RequestId", "1")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Where alerts arrive."""
    with Listener() as one:
        yield one


@pytest.fixture
def group(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A group of two things without certificates, and a home whose journal is this test's own."""
    iot, name = client("iot"), f"w-{uuid.uuid4().hex[:8]}"
    iot.create_thing_group(thingGroupName=name)
    for thing in (f"{name}-1", f"{name}-2"):
        iot.create_thing(thingName=thing)
        iot.add_thing_to_thing_group(thingGroupName=name, thingName=thing)
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "local").symlink_to(Path(platform.ca_file).parents[1])
    monkeypatch.setenv("IOTCTL_HOME", str(home))
    monkeypatch.setenv("IOTCTL_TARGET", "")
    return name


def events(ran: Ran) -> list[tuple[str, str]]:
    """New and healed, with the resource, of a stream in JSON."""
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    return [(row["event"], row["resource"]) for row in rows if row["type"] == "row"]


def test_only_what_is_new_or_healed_is_told(iotctl: Iotctl, group: str, listener: Listener, tmp_path: Path) -> None:
    """The first audit tells all, the next nothing, then what came and what went; the trend has every one of them."""
    (tmp_path / "hook").write_text(f"{listener.url}/hook?token=s3cr3t")
    words = ("audit", "watch", "-g", group, *CHECKS[:2], "--count", "1", "--notify", f"webhook:{tmp_path / 'hook'}")
    names = [f"{group}-1", f"{group}-2"]
    first, second = iotctl(*words, "-o", "json"), iotctl(*words, "-o", "json")
    client("iot").delete_thing(thingName=names[0])
    client("iot").create_thing(thingName=f"{group}-3")
    client("iot").add_thing_to_thing_group(thingGroupName=group, thingName=f"{group}-3")
    third = iotctl(*words, "-o", "json")

    assert [("new", name) for name in names] == events(first)
    assert [] == events(second)
    assert [("new", f"{group}-3"), ("healed", names[0])] == events(third)
    told = [json.loads(body) for body in listener.bodies]
    assert [(2, 0), (1, 1)] == [(len(one["new"]), len(one["healed"])) for one in told]
    assert {"/hook?token=s3cr3t"} == set(listener.paths)
    assert "s3cr3t" not in first.stdout + first.stderr + third.stderr
    trend = iotctl("audit", "trend", "-o", "json").envelope["data"]["audits"]
    assert [(2, 1, 1), (2, 0, 0), (2, 2, 0)] == [(one["low"], one["new"], one["healed"]) for one in trend]
    assert f"audit watch: thing group {group}" in trend[0]["audit"]


def test_what_could_not_be_told_is_told_later(
    iotctl: Iotctl, group: str, listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A webhook that fails does not end the watch: it is said, and sent with the next audit."""
    (tmp_path / "hook").write_text(listener.url)
    listener.status = 500
    slept = []

    def sleep(_seconds: float) -> None:
        slept.append(1)
        listener.status = 200

    monkeypatch.setattr("iotctl.audit.watching.clock.sleep", sleep)
    monkeypatch.setattr("iotctl.audit.watching.clock.monotonic", lambda: len(slept) * 3600.0)
    ran = iotctl(
        *("audit", "watch", "-g", group, *CHECKS[:2], "--count", "2", "--every", "1h"),
        *("--notify", f"webhook:{tmp_path / 'hook'}"),
    )

    assert (0, 2) == (ran.code, len(listener.bodies))
    assert listener.bodies[0] == listener.bodies[1]
    assert "the webhook at 127.0.0.1 was not told: the webhook at 127.0.0.1 answered 500" in ran.stderr


def test_sns(iotctl: Iotctl, group: str, listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is published by a client of its own: the one that audits may only read."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", listener.url)
    arn = "arn:aws:sns:us-east-1:123456789012:alerts"
    ran = iotctl("audit", "watch", "-g", group, *CHECKS[:2], "--count", "1", "--notify", f"sns:{arn}")

    assert 0 == ran.code, ran.stderr
    (posted,) = [parse_qs(body.decode()) for body in listener.bodies]
    assert (["Publish"], [arn]) == (posted["Action"], posted["TopicArn"])
    assert 2 == len(json.loads(posted["Message"][0])["new"])


def test_a_change_is_looked_at_at_once(iotctl: Iotctl, group: str, tmp_path: Path, platform: Platform) -> None:
    """A shadow leaves the baseline and comes back: told on an MQTT topic, long before the next audit of all is due."""
    thing, data, topic = f"{group}-1", client("iot-data"), f"alerts/{group}"

    def write(rate: int) -> None:
        data.update_thing_shadow(thingName=thing, payload=json.dumps({"state": {"desired": {"rate": rate}}}))

    for name in (f"{group}-1", f"{group}-2"):
        data.update_thing_shadow(thingName=name, payload=b'{"state":{"desired":{"rate":5}}}')
    (tmp_path / "b.toml").write_text('version = 1\n[fleet]\nshadow."desired.rate" = 5\n')
    heard: list[dict[str, Any]] = []
    ended: list[Ran] = []
    words = ("audit", "watch", "-g", group, *CHECKS[2:], "--baseline", str(tmp_path / "b.toml"), "--on-change")

    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(Context().operator())
        connection.subscribe([topic])

        def take() -> bool:
            heard.extend(json.loads(item.payload) for item in connection.inbox.take(0.05))
            return bool(heard)

        def run() -> None:
            ended.append(iotctl(*words, "--every", "4s", "--count", "2", "--notify", f"mqtt:{topic}", "-o", "json"))

        watcher = threading.Thread(target=run)
        watcher.start()
        # It is written until it is seen: whether the watch has subscribed yet cannot be known from here.
        until(lambda: write(6) or take() or ended)
        watcher.join()

    assert [0] == [ran.code for ran in ended]
    assert ("new", thing) == events(ended[0])[0]
    assert [thing] == [finding["resource"] for finding in heard[0]["new"]]


def test_a_first_audit_that_waiting_does_not_help_ends_it(iotctl: Iotctl, platform: Platform) -> None:
    """A group that is not there is told with its exit code, not hour by hour."""
    assert 8 == iotctl("audit", "watch", "-g", "nowhere", "--count", "1").code


@vectors.rows(
    "word",
    [
        *("mail:me", "mqtt:", "mqtt:a/+", "mqtt:$aws/things/a/shadow/get", "sns:alerts", "webhook:nofile"),
        *("webhook:https://hooks.example.com/s3cr3t", "webhook:HOOK", "webhook:UNICODE", "webhook:SPACED"),
    ],
)
def test_what_is_no_place_to_tell_is_refused(word: str, tmp_path: Path) -> None:
    """Before the first audit; and an address, which is a secret, is never taken from the command line."""
    (tmp_path / "hook").write_text("http://hooks.example.com/x")
    (tmp_path / "unicode").write_text("https://hooks.example.com/s3cr3t-é", "utf-8")
    (tmp_path / "spaced").write_text("https://hooks.example.com/s3cr3t s3cr3t")
    given = word
    for name in ("hook", "unicode", "spaced"):
        given = given.replace(name.upper(), str(tmp_path / name))
    with pytest.raises(Usage) as caught:
        notify.parse([given], Context(), lambda: pytest.fail("nothing is connected"))
    assert "s3cr3t" not in str(caught.value)


def test_many_findings_are_several_messages() -> None:
    """Each small enough for MQTT, none left out."""
    found = tuple({"findingId": str(number), "actual": "x" * 500} for number in range(120))
    sent = list(notify.messages(Changed(found[:70], found[70:]), {"accountId": "1"}, "now"))

    assert 3 == len(sent)
    assert all(len(message) < 128 * 1024 for message in sent)
    told = [json.loads(message) for message in sent]
    assert list(found[:70]) == [finding for one in told for finding in one["new"]]
    assert list(found[70:]) == [finding for one in told for finding in one["healed"]]
