"""The JSON envelope: the same keys always, on stdout, whatever happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Ran

_KEYS = ["version", "command", "status", "exitCode", "data", "errors"]
_ERROR_KEYS = {"code", "message", "on", "hint"}


@pytest.mark.parametrize(
    ("argv", "code", "status"),
    [
        ("onboard check fleet.csv", 0, "ok"),
        ("onboard check bad.csv", 2, "error"),
        ("onboard check none.csv", 2, "error"),
        ("onboard nosuch", 2, "error"),
        ("nosuch", 2, "error"),
        ("onboard check", 2, "error"),
        ("account iam iot:CreateThing", 0, "ok"),
        ("account check --profile nobody", 7, "error"),
        ("account check", 7, "error"),
        ("account check --local", 12, "error"),
        ("onboard status --bundles none", 8, "error"),
    ],
)
def test_the_envelope_has_the_same_keys_always(
    iotctl: Callable[..., Ran], fleet_file: Path, argv: str, code: int, status: str
) -> None:
    """Success, wrong words, wrong input, no credentials, no platform."""
    (fleet_file.parent / "bad.csv").write_text("thing_name\n../x\n\x1b\n")
    ran = iotctl(*argv.split(), "-o", "json")
    assert (code, code, status, 1) == (
        ran.code,
        ran.envelope["exitCode"],
        ran.envelope["status"],
        ran.envelope["version"],
    )
    assert _KEYS == list(ran.envelope)
    assert argv.startswith(ran.envelope["command"])
    assert bool(code) == bool(ran.envelope["errors"])
    for error in ran.envelope["errors"]:
        assert _ERROR_KEYS <= set(error) <= _ERROR_KEYS | {"cause"}


@pytest.mark.parametrize("argv", ["-o json --profile", "-o=json -o", "--output json --region", "-o json -o"])
def test_an_early_failure_has_an_envelope_too(iotctl: Callable[..., Ran], argv: str) -> None:
    """Even where the options themselves are wrong."""
    ran = iotctl(*argv.split())
    assert (2, _KEYS) == (ran.code, list(ran.envelope))


def test_a_wrong_target_has_an_envelope(iotctl: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is noticed before the command is looked at."""
    monkeypatch.setenv("IOTCTL_TARGET", "prod")
    assert (2, "IOTCTL_TARGET is 'prod'") == (
        iotctl("-o", "json", "account", "check").code,
        iotctl("-o", "json", "account", "check").envelope["errors"][0]["message"],
    )


def test_an_early_crash_has_an_envelope(fleet_file: Path) -> None:
    """A capability that cannot even be imported is a bug, told as one."""
    script = (
        "import sys; sys.modules['iotctl.onboard.cli'] = None\n"
        "from iotctl.cli import run; sys.exit(run(['onboard', 'check', 'fleet.csv', '-o', 'json']))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, env=os.environ)
    envelope = json.loads(ran.stdout)
    assert (1, _KEYS, "Internal") == (ran.returncode, list(envelope), envelope["errors"][0]["code"])
    assert "Traceback" not in ran.stderr


def test_every_bad_line_is_in_the_envelope(iotctl: Callable[..., Ran], fleet_file: Path) -> None:
    """The words stop at twenty, the envelope goes on; the first error is the file's."""
    fleet_file.write_text("thing_name\n" + "b b\n" * 30)
    ran = iotctl("onboard", "check", "fleet.csv", "-o", "json")
    found = ran.envelope["errors"]
    assert (31, "fleet.csv: 30 bad lines; nothing was called, nothing was written") == (len(found), found[0]["message"])
    assert [f"fleet.csv:{line}" for line in range(2, 32)] == [error["on"] for error in found[1:]]
    assert ran.stderr.startswith("error: fleet.csv: 30 bad lines")
