"""An order becomes a record: the same one for the same order, its manifest one that devices accept."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from iotctl import manifest
from iotctl.errors import Usage
from iotctl.manifest import Self, Signed
from iotctl.ota import document, draft
from iotctl.ota.rollout import CANARY, FLEET
from iotctl.trust import Trust, TrustedKey
from tests.ota.orders import KEY, NOW, TARGET, drafted, facts, ordered


def test_the_same_order_is_the_same_rollout_whenever_it_is_made() -> None:
    """Neither the time, nor the signature, nor how large the group is today is part of the id."""
    _, _, one = drafted(500, canary="20")
    asked = ordered(canary="20")
    later = draft.draft(asked, facts(asked, 501, now=NOW + timedelta(hours=1)))
    assert one.rollout_id == later.rollout_id
    assert one.document != later.document


@pytest.mark.parametrize(
    "changes", [{"release": "1.4.1"}, {"name": "fw"}, {"canary": "21"}, {"again": 1}, {"no_abort": True}, {"rate": 51}]
)
def test_another_order_is_another_rollout(changes: dict[str, Any]) -> None:
    """Whatever changes what happens to a device changes the id."""
    assert drafted(500, canary="20")[2].rollout_id != drafted(500, **{"canary": "20", **changes})[2].rollout_id


def test_a_canary_is_things_by_name_and_the_fleet_is_the_group() -> None:
    """Each with as many things as it is for, and its own rate."""
    _, _, record = drafted(500, canary="2%", soak="10m")
    few, all_ = record.requests[CANARY], record.requests[FLEET]
    assert ({CANARY: 10, FLEET: 500}, CANARY) == (record.things, record.first)
    assert [TARGET.arn(f"thing/pump-{number:04}") for number in range(0, 500, 50)] == few["targets"]
    assert [TARGET.arn("thinggroup/pumps")] == all_["targets"]
    assert {"maximumPerMinute": 1000} == few["jobExecutionsRolloutConfig"]
    assert 50 == all_["jobExecutionsRolloutConfig"]["exponentialRate"]["baseRatePerMinute"]
    assert 5 == few["abortConfig"]["criteriaList"][0]["minNumberOfExecutedThings"]


def test_a_device_of_the_scope_accepts_the_document_and_no_other() -> None:
    """The manifest is signed for the group and those below it, until it expires."""
    _, _, record = drafted(500)
    found = json.loads(record.document)
    assert "install" == found["operation"]
    assert found["url"].startswith(
        f"${{aws:iot:s3-presigned-url-v2:https://s3.eu-west-1.amazonaws.com/{TARGET.bucket}/ota/"
    )
    signed, trust = Signed.from_json(found), Trust({KEY.key_id: TrustedKey(KEY.key_id, KEY.public_pem)})

    def verify(group: str, days: int) -> manifest.Manifest:
        device, now = Self("any", thing_groups=(group,)), NOW + timedelta(days=days)
        return manifest.verify(signed, trust, device, installed=lambda _: None, now=now)

    for group in ("pumps", "pumps-north"):
        wanted = verify(group, 29)
        assert ("1.4.0", 1000, "a" * 64) == (wanted.release, wanted.size, wanted.sha256)
    with pytest.raises(manifest.Rejected, match="is not for any"):
        verify("presses", 29)
    with pytest.raises(manifest.Rejected, match="could be installed until"):
        verify("pumps", 30)


@pytest.mark.parametrize("name", ["iotctl", "device-client", "jobs-agent"])
def test_a_template_that_ships_renders(name: str) -> None:
    """Each names the artifact's URL once, and asks for the role that presigns it."""
    _, found, record = drafted(5, template=name)
    assert 1 == record.document.count("s3-presigned-url-v2")
    assert found.role == record.requests[FLEET]["presignedUrlConfig"]["roleArn"]
    assert (name != "jobs-agent") == found.template.is_signed


def test_the_device_client_gets_what_its_handler_verifies() -> None:
    """The handler's arguments are the manifest, the signature and the URL."""
    _, _, record = drafted(5, template="device-client")
    found = json.loads(record.document)
    given = found["steps"][0]["action"]["input"]
    assert ("1.0", document.HANDLER, "default") == (found["version"], given["handler"], given["path"])
    signed = Signed.from_json(dict(zip(("manifest", "signature"), given["args"], strict=False)))
    assert "1.4.0" == manifest.read(signed.manifest).release


def test_a_template_of_the_operators_own(tmp_path: Path) -> None:
    """It may use every value, and parameters besides; what it asks for and nobody gave is named."""
    own = tmp_path / "own.json"
    own.write_text(
        '{"do": "{{ release }} in {{ place }}", "from": "{{ url }}", "by": "{{ manifest }}.{{ signature }}"}'
    )
    _, _, record = drafted(5, template=str(own), parameters=["place=/opt"])
    assert "1.4.0 in /opt" == json.loads(record.document)["do"]
    with pytest.raises(Usage, match="asks for place"):
        drafted(5, template=str(own))
    with pytest.raises(Usage, match="cannot be read"):
        drafted(5, template=str(tmp_path / "none.json"))


def test_a_signed_template_needs_a_key() -> None:
    """Without one nothing is made; a template that carries no signature does without."""
    asked = ordered()
    with pytest.raises(Usage, match="no key is named"):
        draft.draft(asked, facts(asked, key=None))
    asked = ordered(template="jobs-agent")
    assert "packageName" in draft.draft(asked, facts(asked, key=None)).document


def test_a_template_of_awss_own_is_passed_through() -> None:
    """Its parameters may name the URL; the document is AWS's."""
    arn = "arn:aws:iot:eu-west-1::jobtemplate/AWS-Download-File:1.0"
    _, _, record = drafted(5, template=arn, parameters=["downloadUrl={url}", "filePath=/opt/{release}"])
    request = record.requests[FLEET]
    assert ("", arn, "/opt/1.4.0") == (
        record.document,
        request["jobTemplateArn"],
        request["documentParameters"]["filePath"],
    )
    assert request["documentParameters"]["downloadUrl"].startswith("${aws:iot:s3-presigned-url-v2:")
    assert "presignedUrlConfig" in request
    with pytest.raises(Usage, match="AWS manages"):
        drafted(5, template="arn:aws:iot:eu-west-1:123456789012:jobtemplate/own", parameters=["a=b"])
    with pytest.raises(Usage, match="not the ARN"):
        drafted(5, template="arn:aws:s3:::x")


def test_the_record_is_read_back() -> None:
    """What is put beside the artifact is all of it."""
    _, _, record = drafted(500, canary="20", gate='reported.fw == "1.4.0"')
    assert record == type(record).parse(record.content())
