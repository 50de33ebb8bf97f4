"""What a command imports: nothing that it does not need."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

_HEAVY = {"boto3", "botocore", "awscrt", "awsiot", "rich", "cryptography", "jinja2", "pydantic", "aiohttp", "tenacity"}
_SCRIPT = """
import atexit, json, sys
def told():
    sys.stderr.write("\\n" + json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
atexit.register(told)
from iotctl.__main__ import main
sys.argv[0] = "iotctl"
main()
"""


def _imported(*argv: str) -> set[str]:
    ran = subprocess.run([sys.executable, "-c", _SCRIPT, *argv], capture_output=True, text=True, check=False)
    return set(json.loads(ran.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    ("argv", "unneeded"),
    [
        ("--version", _HEAVY | {"typer", "click", "logging", "sqlite3"}),
        ("--help", _HEAVY),
        ("onboard", _HEAVY),
        ("onboard apply --help", _HEAVY),
        ("onboard nosuch", _HEAVY),
        ("-o xml", _HEAVY),
        ("local status", _HEAVY),
        ("account iam iot:CreateThing", _HEAVY),
        ("onboard check fleet.csv", _HEAVY - {"cryptography", "jinja2"}),
        ("onboard check fleet.csv -o json", _HEAVY - {"cryptography", "jinja2"}),
    ],
)
def test_a_command_imports_what_it_needs(fleet_file: Path, argv: str, unneeded: set[str]) -> None:
    """A package that is imported for nothing is a slower start for everyone."""
    assert set() == _imported(*argv.split()) & unneeded
