"""Downloads from a server that misbehaves, on a real socket."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iotctl.errors import Interrupted
from iotctl.local.devices import download
from iotctl.local.devices.download import Source
from iotctl.manifest import Reason, Rejected

CONTENT = bytes(range(256)) * 1000
HOSTS = ("127.0.0.1",)


class Server:
    """Serves one object; `behave` may answer a request in its own way, and says whether it did."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.ranges: list[str | None] = []
        self.sent = 0
        self.behave: Callable[[BaseHTTPRequestHandler, int], bool] = lambda _handler, _number: False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wanted = self.headers.get("Range")
                outer.ranges.append(wanted)
                if not outer.behave(self, len(outer.ranges)):
                    outer.give(self, int(wanted[6:-1]) if wanted else 0, partial=wanted is not None)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/object?X-Amz-Signature=secret"

    def give(self, handler: BaseHTTPRequestHandler, start: int, *, partial: bool, cut: int | None = None) -> None:
        """Answer as S3 does, with all of the body or what comes before `cut`."""
        total = len(self.content)
        handler.send_response(206 if partial else 200)
        if partial:
            handler.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        handler.send_header("Content-Length", str(total - start))
        handler.end_headers()
        body = self.content[start : total if cut is None else start + cut]
        self.sent += len(body)  # before the client can have it, and look
        handler.wfile.write(body)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of one object."""
    made = Server()
    yield made
    made.close()


def source(server: Server, content: bytes = CONTENT) -> Source:
    """What a manifest names: this content, there."""
    return Source(server.url, len(content), hashlib.sha256(content).hexdigest(), HOSTS)


def fetched(wanted: Source, place: Path) -> Reason | None:
    """How it ended; that the file is whole, or not there, is checked."""
    refusal = None
    try:
        download.fetch(wanted, place, first_wait=0.001)
    except Rejected as error:
        refusal = error
    if refusal is not None:
        assert "secret" not in f"{refusal.message} {refusal.cause}"
        assert not place.exists()
        return refusal.reason
    assert hashlib.sha256(place.read_bytes()).hexdigest() == wanted.sha256
    assert [place] == list(place.parent.iterdir())
    return None


def test_it_comes_once(server: Server, tmp_path: Path) -> None:
    """A file that is there and right is not asked for again."""
    assert None is fetched(source(server), tmp_path / "a")
    assert None is fetched(source(server), tmp_path / "a")
    assert [None] == server.ranges


def test_it_goes_on_where_it_was_cut(server: Server, tmp_path: Path) -> None:
    """Cut again and again, more often than there are tries: each request asks for what is missing, none twice."""

    def cut(handler: BaseHTTPRequestHandler, number: int) -> bool:
        wanted = server.ranges[-1]
        server.give(handler, int(wanted[6:-1]) if wanted else 0, partial=wanted is not None, cut=30_000)
        return True

    server.behave = cut
    assert None is fetched(source(server), tmp_path / "a")
    assert len(CONTENT) == server.sent
    assert [None, *(f"bytes={at}-" for at in range(30_000, len(CONTENT), 30_000))] == server.ranges


def test_it_goes_on_after_a_restart(server: Server, tmp_path: Path) -> None:
    """What an earlier process left is used."""
    (tmp_path / "a.partial").write_bytes(CONTENT[:100_000])
    assert None is fetched(source(server), tmp_path / "a")
    assert ["bytes=100000-"] == server.ranges


def test_what_was_left_torn_is_thrown_away(server: Server, tmp_path: Path) -> None:
    """A partial file with a hole in it costs one more download, and no failure."""
    (tmp_path / "a.partial").write_bytes(bytes(100_000))
    assert None is fetched(source(server), tmp_path / "a")
    assert ["bytes=100000-", None] == server.ranges


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(left=st.binary(max_size=40) | st.integers(0, 30).map(lambda size: CONTENT[:size]))
def test_whatever_was_left_it_ends_well(server: Server, tmp_path: Path, left: bytes) -> None:
    """Any bytes in the partial file, shorter or longer than the whole."""
    server.content = CONTENT[:30]
    place = tmp_path / "a"
    place.unlink(missing_ok=True)
    place.with_name("a.partial").write_bytes(left)
    assert None is fetched(source(server, server.content), place)


def test_a_server_without_ranges(server: Server, tmp_path: Path) -> None:
    """It answers 200 with all of it: what was there is thrown away."""
    (tmp_path / "a.partial").write_bytes(CONTENT[:100_000])
    server.behave = lambda handler, _: server.give(handler, 0, partial=False) is None
    assert None is fetched(source(server), tmp_path / "a")


def test_endless_data(server: Server, tmp_path: Path) -> None:
    """A body without an end, of a server that declares none: one byte too many is read, not more."""
    sent = threading.Event()

    def endless(handler: BaseHTTPRequestHandler, _: int) -> bool:
        handler.send_response(200)
        handler.end_headers()
        try:
            for _block in range(2000):
                handler.wfile.write(bytes(65536))
        except OSError:
            sent.set()
        return True

    server.behave = endless
    assert Reason.ENDLESS_DATA == fetched(source(server), tmp_path / "a")
    assert sent.wait(10)
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (CONTENT + b"x", Reason.ENDLESS_DATA),
        (CONTENT[:-1], Reason.TRUNCATED),
        (CONTENT[:-1] + b"x", Reason.DIGEST_MISMATCH),
    ],
)
def test_an_object_that_was_replaced(server: Server, tmp_path: Path, content: bytes, expected: Reason) -> None:
    """Faults 51 and 52: longer, shorter, one byte changed; nothing of it stays."""
    server.content = content
    assert expected == fetched(source(server), tmp_path / "a")
    assert [] == list(tmp_path.iterdir())


def test_a_server_that_is_ill_for_a_while(server: Server, tmp_path: Path) -> None:
    """503, 429, and a connection that ends before it answers are tried again."""

    def ill(handler: BaseHTTPRequestHandler, number: int) -> bool:
        if number > 3:
            return False
        if number < 3:
            handler.send_error(503 if number == 1 else 429)
        return True

    server.behave = ill
    assert None is fetched(source(server), tmp_path / "a")
    assert 4 == len(server.ranges)


def test_a_server_that_stays_ill(server: Server, tmp_path: Path) -> None:
    """After some tries it is given up; what had come is kept for the next time."""
    (tmp_path / "a.partial").write_bytes(CONTENT[:5])
    server.behave = lambda handler, _: handler.send_error(500) is None
    assert Reason.DOWNLOAD_FAILED == fetched(source(server), tmp_path / "a")
    assert (download.TRIES, 5) == (len(server.ranges), (tmp_path / "a.partial").stat().st_size)


@pytest.mark.parametrize("status", [301, 307, 403, 404])
def test_a_server_that_says_no(server: Server, tmp_path: Path, status: int) -> None:
    """Asked once; a redirection is not followed."""
    server.behave = lambda handler, _: handler.send_error(status) is None
    with pytest.raises(download.Refused) as found:
        download.fetch(source(server), tmp_path / "a", first_wait=0.001)
    assert (status, 1) == (found.value.status, len(server.ranges))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "http://s3.eu-north-1.amazonaws.com/bucket/key",
        "https://example.com/x",
        "https://amazonaws.com.example.com/x",
        "https://user@s3.amazonaws.com/x",
        "http://127.0.0.1.example.com/",
        "https://[::1/x",
        "https://s3.amazonaws.com:99999/x",
    ],
)
def test_a_url_that_is_not_asked(tmp_path: Path, url: str) -> None:
    """Https only, of hosts that are known; http only of this machine."""
    wanted = Source(url, 1, "ab" * 32, (*download.AWS_HOSTS, "127.0.0.1"))
    assert Reason.HOST_REFUSED == fetched(wanted, tmp_path / "a")


def test_this_machine_is_not_asked_unless_it_is_known(server: Server, tmp_path: Path) -> None:
    """A device of AWS's has no business with its own loopback interface."""
    wanted = Source(server.url, 1, "ab" * 32)
    assert Reason.HOST_REFUSED == fetched(wanted, tmp_path / "a")
    assert [] == server.ranges


def test_it_can_be_stopped(server: Server, tmp_path: Path) -> None:
    """While it downloads; what has come is kept."""
    stop = threading.Event()
    server.behave = lambda handler, _: (server.give(handler, 0, partial=False, cut=50_000), stop.set()) is not None
    with pytest.raises(Interrupted):
        download.fetch(source(server), tmp_path / "a", stop=stop)
    assert CONTENT.startswith((tmp_path / "a.partial").read_bytes())


def test_no_server_at_all(tmp_path: Path) -> None:
    """It is tried a few times."""
    assert Reason.DOWNLOAD_FAILED == fetched(Source("http://127.0.0.1:1/x", 1, "ab" * 32, HOSTS), tmp_path / "a")
