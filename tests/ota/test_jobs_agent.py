"""An agent that nobody here has written completes a rollout: the example of the AWS IoT Device SDK for JavaScript v1.

It runs where NODE_PATH has the package `aws-iot-device-sdk`:
`npm install --prefix DIR aws-iot-device-sdk && NODE_PATH=DIR/node_modules pytest tests/ota/test_jobs_agent.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import clean_environment
from tests.local.clients import until

AGENT = next(
    (
        place
        for root in os.environ.get("NODE_PATH", "").split(os.pathsep)
        if root and (place := Path(root) / "aws-iot-device-sdk" / "examples" / "jobs-agent.js").is_file()
    ),
    None,
)
CONTENT = b"console.log('pump');\n" * 1000


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A platform of its own whose presigned URLs are https: the agent downloads from nothing else."""
    variables = {**os.environ, **clean_environment(tmp_path), "IOTCTL_TARGET": "local"}
    _iotctl(variables, tmp_path, "local", "up", "--detach", "--ports", "auto", "--https-artifacts")
    yield variables
    _iotctl(variables, tmp_path, "local", "down")


def _iotctl(environment: dict[str, str], directory: Path, *words: str) -> Any:
    ran = subprocess.run(
        [sys.executable, "-m", "iotctl", *words, "-y", "-o", "json"],
        cwd=directory,
        env={**environment, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode in {0, 13}, ran.stderr
    return json.loads(ran.stdout)["data"]


@pytest.mark.skipif(AGENT is None or not shutil.which("node"), reason="NODE_PATH has no aws-iot-device-sdk")
def test_an_unmodified_agent_completes_a_rollout(environment: dict[str, str], tmp_path: Path) -> None:
    """It gets the job, downloads by the presigned URL, compares the digest, and reports."""
    status = _iotctl(environment, tmp_path, "local", "status")
    (tmp_path / "fleet.csv").write_text("thing_name,thing_groups\nagent-1,agents\n")
    _iotctl(environment, tmp_path, "onboard", "apply", "fleet.csv")
    (tmp_path / "index.js").write_bytes(CONTENT)
    _make_bucket(status)
    words = ("index.js", "-g", "agents", "--release", "1.0.0", "--name", "pump", "--template", "jobs-agent")
    _iotctl(environment, tmp_path, "ota", "create", *words, "--job-role", "arn:aws:iam::123456789012:role/presign")
    (rollout,) = (row["rolloutId"] for row in _iotctl(environment, tmp_path, "ota", "list")["rollouts"])
    bundle, work = tmp_path / "fleet-fleet" / "devices" / "agent-1", tmp_path / "work"
    work.mkdir()
    argv = ["node", str(AGENT), "-f", str(bundle), "-a", "AmazonRootCA1.pem", "-H", "127.0.0.1"]
    argv += ["-p", str(status["mqttPort"]), "-i", "agent-1", "-T", "agent-1"]
    with (tmp_path / "agent.log").open("w") as log:
        trusting = {**environment, "NODE_EXTRA_CA_CERTS": status["caFile"]}
        agent = subprocess.Popen(argv, cwd=work, env=trusting, stdout=log, stderr=log)
    try:
        stages = {"succeeded", "failed"}
        stage = until(lambda: _stage(environment, tmp_path, rollout, stages), 60)
    finally:
        agent.terminate()
        agent.wait(10)
    assert ("succeeded", CONTENT) == (stage, (work / "index.js").read_bytes()), (tmp_path / "agent.log").read_text()


def _stage(environment: dict[str, str], directory: Path, rollout: str, over: set[str]) -> str:
    found = str(_iotctl(environment, directory, "ota", "step", rollout)["stage"])
    return found if found in over else ""


def _make_bucket(status: dict[str, Any]) -> None:
    import boto3

    from iotctl.target import Platform

    home = Path(status["caFile"]).parents[1]
    platform = Platform.from_json(json.loads((home / "platform.json").read_bytes()))
    boto3.client(
        "s3",
        endpoint_url=platform.http_url,
        region_name=platform.region,
        aws_access_key_id=platform.access_key_id,
        aws_secret_access_key=platform.secret_access_key,
    ).create_bucket(Bucket=f"iotctl-{platform.account_id}-{platform.region}")
