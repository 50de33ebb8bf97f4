"""What only looks, only looks: every call of a command that reads is seen at a proxy (P4)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest

from tests.faults.proxy import Proxy

if TYPE_CHECKING:
    from iotctl.target import Platform


@pytest.mark.parametrize(
    "words",
    [
        ("onboard", "check", "fleet.csv"),
        ("onboard", "plan", "fleet.csv"),
        ("onboard", "apply", "fleet.csv", "--dry-run"),
        ("account", "check"),
        ("shadow", "get", "T"),
        ("shadow", "list", "T"),
        ("shadow", "diff", "T"),
        ("shadow", "set", "T", "a=2", "--dry-run"),
        ("audit", "violations", "--since", "1h"),
    ],
    ids=" ".join,
)
def test_it_only_reads(
    words: tuple[str, ...],
    platform: Platform,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its calls are GET and HEAD, and sts:GetCallerIdentity; it writes no file, not even a journal."""
    thing, files = f"read-{uuid.uuid4().hex[:8]}", tmp_path / "here"
    boto3.client("iot").create_thing(thingName=thing)
    state = json.dumps({"state": {"desired": {"a": 1}}})
    boto3.client("iot-data").update_thing_shadow(thingName=thing, payload=state)
    files.mkdir()
    (files / "fleet.csv").write_text(f"thing_name,thing_groups,shadow:a\n{thing},group-of-{thing},1\nnew-{thing},,\n")
    monkeypatch.chdir(files)
    monkeypatch.setenv("IOTCTL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("IOTCTL_TARGET", "")
    _with_platform_file(platform, tmp_path / "home")
    with Proxy(platform.http_url, lambda *_: None) as proxy:
        # A process of its own: its connections end with it, and the proxy waits for that.
        ran = subprocess.run(
            [sys.executable, "-m", "iotctl", *(thing if word == "T" else word for word in words)],
            env={**os.environ, "AWS_ENDPOINT_URL": proxy.url},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    assert ran.returncode in {0, 3, 6}, ran.stderr
    assert {("POST", "/")} >= {(call.method, call.path) for call in proxy.calls if call.method not in {"GET", "HEAD"}}
    assert (words[:2] == ("onboard", "check")) == (not proxy.calls)
    assert [files / "fleet.csv"] == list(files.iterdir())
    assert [tmp_path / "home" / "local"] == list((tmp_path / "home").iterdir())


def _with_platform_file(platform: Platform, home: Path) -> None:
    """Make the home of these commands one that knows the platform, whose own home they must not write to."""
    home.mkdir()
    (home / "local").symlink_to(Path(platform.ca_file).parents[1])
