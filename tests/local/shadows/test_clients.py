"""Shadows with clients of other languages, unmodified: mosquitto_sub and mosquitto_pub, the npm package mqtt."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.local.clients import Device, until

if TYPE_CHECKING:
    from pathlib import Path

    from iotctl.target import Platform

MOSQUITTO = shutil.which("mosquitto_sub") and shutil.which("mosquitto_pub")

NODE = """
const mqtt = require("mqtt"), fs = require("fs");
const [port, name, certificate, key, ca] = process.argv.slice(2);
const client = mqtt.connect({
  host: "127.0.0.1", port: Number(port), protocol: "mqtts", clientId: name, reconnectPeriod: 0,
  protocolVersion: Number(process.env.VERSION),
  cert: fs.readFileSync(certificate), key: fs.readFileSync(key), ca: fs.readFileSync(ca),
});
const base = `$aws/things/${name}/shadow`;
client.on("error", (error) => { console.error(error); process.exit(1); });
client.on("connect", () => client.subscribe([`${base}/update/accepted`, `${base}/update/delta`], { qos: 1 }, () =>
  client.publish(`${base}/update`, JSON.stringify({ state: { desired: { a: 1 } } }), { qos: 1 })));
let left = 2;
client.on("message", (topic, payload) => {
  console.log(JSON.stringify([topic.slice(base.length + 1), JSON.parse(payload).state]));
  if (--left === 0) client.end();
});
"""


def node_has_mqtt() -> bool:
    """Whether node is there, and finds the package (NODE_PATH says where)."""
    node = shutil.which("node")
    found = node and subprocess.run([node, "-e", "require('mqtt')"], capture_output=True, check=False, timeout=30)
    return bool(found) and found.returncode == 0


def subscriptions(data: Any, client_id: str) -> list[Any]:
    """What a client is subscribed to; nothing while it is not connected."""
    try:
        found: list[Any] = data.list_subscriptions(clientId=client_id)["subscriptions"]
    except data.exceptions.ResourceNotFoundException:
        return []
    return found


@pytest.mark.skipif(not MOSQUITTO, reason="mosquitto_sub and mosquitto_pub are not installed")
@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
def test_mosquitto_hears_an_update(running: Platform, device: Callable[..., Device], data: Any, version: str) -> None:
    """mosquitto_sub prints the delta of an update that mosquitto_pub sent."""
    hears, sends = device("hears"), device("sends")
    sub = subprocess.Popen(
        [
            *("mosquitto_sub", "-h", "127.0.0.1", "-p", str(running.mqtt_port), "-V", version, "-i", hears.name),
            *("--cafile", running.ca_file, "--cert", str(hears.certificate), "--key", str(hears.key)),
            *("-t", f"$aws/things/{hears.name}/shadow/update/delta", "-q", "1", "-C", "1", "-W", "20"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    with sub:
        until(lambda: subscriptions(data, hears.name))
        data.update_thing_shadow(thingName=hears.name, payload=b'{"state":{"desired":{"a":1}}}')
        assert sub.stdout is not None
        said = json.loads(sub.stdout.read())
    assert (0, {"a": 1}) == (sub.returncode, said["state"])
    subprocess.run(
        [
            *("mosquitto_pub", "-h", "127.0.0.1", "-p", str(running.mqtt_port), "-V", version, "-i", sends.name),
            *("--cafile", running.ca_file, "--cert", str(sends.certificate), "--key", str(sends.key), "-q", "1"),
            *("-t", f"$aws/things/{sends.name}/shadow/update", "-m", '{"state":{"reported":{"b":2}}}'),
        ],
        check=True,
        timeout=20,
    )
    found = json.loads(data.get_thing_shadow(thingName=sends.name)["payload"].read())
    assert {"reported": {"b": 2}} == found["state"]


@pytest.mark.skipif(not node_has_mqtt(), reason="node or its package mqtt is not installed")
@pytest.mark.parametrize("version", ["4", "5"])
def test_node_updates_and_hears(
    running: Platform, device: Callable[..., Device], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    """The npm package mqtt sends an update, and gets its acceptance and its delta."""
    pump = device()
    program = tmp_path / "device.js"
    program.write_text(NODE)
    monkeypatch.setenv("VERSION", version)
    files = (str(pump.certificate), str(pump.key), running.ca_file)
    command = ["node", str(program), str(running.mqtt_port), pump.name, *files]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert (0, "") == (ran.returncode, ran.stderr)
    expected = [["update/accepted", {"desired": {"a": 1}}], ["update/delta", {"a": 1}]]
    assert expected == [json.loads(line) for line in ran.stdout.splitlines()]
