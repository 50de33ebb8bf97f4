"""CreateThing and AttachThingPrincipal over raw HTTP, at 100 and at 50,000 things, beside moto_server in the same run.

    pytest -m bench -s tests/bench/bench_registry.py

Every round measures the servers one after the other, and the ratio of a round is of that round's figures; the medians
are printed. Nothing is decided here.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import pytest

from iotctl import files, pki
from iotctl.local import process
from iotctl.local.platform import open_store
from iotctl.local.services.certificates import register_certificate_without_ca
from iotctl.local.services.things import create_thing
from iotctl.local.state import Ports, State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FEW, MANY = 100, 50_000
CALLS, ROUNDS = 400, 7


@dataclass
class Server:
    """A server and what was prepared in it."""

    name: str
    url: str
    key_id: str
    principals: list[str]

    def measure(self, tag: str) -> dict[str, float]:
        """Calls per second of CALLS new things and of as many attachments."""
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port)
        scope = f"Credential={self.key_id}/20260101/us-east-1/iot/aws4_request, SignedHeaders=host, Signature=0"
        headers = {"Authorization": f"AWS4-HMAC-SHA256 {scope}", "Content-Type": "application/json"}

        def call(method: str, path: str, body: bytes = b"", **more: str) -> None:
            connection.request(method, path, body, {**headers, **more})
            response = connection.getresponse()
            content = response.read()
            assert response.status == 200, content

        names = [f"{tag}-{number}" for number in range(CALLS)]
        attributes = json.dumps({"attributePayload": {"attributes": {"serial": "abc"}}}).encode()
        begun = time.perf_counter()
        for name in names:
            call("POST", f"/things/{name}", attributes)
        created = time.perf_counter()
        for name in names:
            principal = {"x-amzn-principal": self.principals.pop()}
            call("PUT", f"/things/{quote(name)}/principals", **principal)
        attached = time.perf_counter()
        connection.close()
        return {"CreateThing": CALLS / (created - begun), "AttachThingPrincipal": CALLS / (attached - created)}


@pytest.mark.bench
def test_registry_operations_at_few_and_at_many_things(tmp_path: Path) -> None:
    """Prints calls per second, flatness, and the ratio against moto_server."""
    with contextlib.ExitStack() as stack:
        few = stack.enter_context(_platform(tmp_path / "few", FEW))
        many = stack.enter_context(_platform(tmp_path / "many", MANY))
        moto = stack.enter_context(_moto(tmp_path))
        rounds = [
            {server.name: server.measure(f"r{number}") for server in (few, many, moto)} for number in range(ROUNDS + 1)
        ][1:]  # the first one warms up
    for operation in ("CreateThing", "AttachThingPrincipal"):
        rates = {name: statistics.median(one[name][operation] for one in rounds) for name in rounds[0]}
        flat = statistics.median(one[few.name][operation] / one[many.name][operation] for one in rounds)
        ratio = statistics.median(one[few.name][operation] / one[moto.name][operation] for one in rounds)
        shown = ", ".join(f"{name} {rate:,.0f}/s" for name, rate in rates.items())
        print(f"\n{operation}: {shown}; {FEW} to {MANY:,} things: {flat:.2f}x slower; {ratio:.1f}x moto_server", end="")


@contextlib.contextmanager
def _platform(home: Path, things: int) -> Iterator[Server]:
    files.private_directory(home)
    state = State(files.private_directory(home / "local"))
    store = open_store(state)
    signer = pki.Authority.create("bench")
    principals = []
    with store.transaction():
        for number in range(things):
            create_thing(store, f"before-{number}", attributePayload={"attributes": {"serial": str(number)}})
        for number in range(max(things, (ROUNDS + 1) * CALLS)):
            issued = signer.issue(f"device-{number}")
            principals.append(register_certificate_without_ca(store, issued.certificate_pem)["certificateArn"])
    store.close()
    found = process.background(state, Ports(0, 0, 0), None)
    try:
        yield Server(f"iotctl at {things:,}", found.http_url, found.access_key_id, principals)
    finally:
        process.stop(state)


@contextlib.contextmanager
def _moto(directory: Path) -> Iterator[Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-p", str(port)]
    with (directory / "moto.log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        try:
            found = Server("moto_server", f"http://127.0.0.1:{port}", "AKIAIOSFODNN7EXAMPLE", [])
            _wait(port)
            found.principals += _certificates(found, (ROUNDS + 1) * CALLS)
            yield found
        finally:
            server.terminate()


def _certificates(server: Server, number: int) -> list[str]:
    import boto3

    client = boto3.client(
        "iot",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id=server.key_id,
        aws_secret_access_key="x",
    )
    signer = pki.Authority.create("bench")
    return [
        client.register_certificate_without_ca(certificatePem=signer.issue(f"d-{one}").certificate_pem)[
            "certificateArn"
        ]
        for one in range(number)
    ]


def _wait(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        with contextlib.suppress(OSError):
            connection.request("GET", "/")
            connection.getresponse().read()
            return
    raise AssertionError("moto_server did not start")
