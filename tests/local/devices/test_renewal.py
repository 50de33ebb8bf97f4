"""A device's part in the rotation of its certificate: messages in, actions out; and what it keeps on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from iotctl import pki, rotation
from iotctl.local.devices.credentials import Credentials, Work, Worked
from iotctl.local.devices.renewal import Ended, Reconnect, Renewal
from iotctl.local.devices.roles import Role
from iotctl.local.devices.session import Identity
from iotctl.local.devices.thing import Publish, Told
from iotctl.pki import requests
from iotctl.rotation import Delivery, Order
from iotctl.semantics import topics

DOCUMENT = Order("r1", "ec-p256").document()
DELIVERY = Delivery("r1", "PEM", "c2", "a1")
AUTHORITY = pki.Authority.create("a test's own CA")


def _state(desired: dict[str, str] | None, **reported: Any) -> bytes:
    return json.dumps({"state": {"desired": desired, "reported": reported}}).encode()


def _reports(actions: list[Any]) -> list[dict[str, Any]]:
    updates = [each for each in actions if isinstance(each, Publish) and each.topic.endswith("/update")]
    return [json.loads(each.payload)["state"]["reported"] for each in updates]


def _begun() -> Renewal:
    renewal = Renewal("pump")
    assert [] == renewal.connected("c1", renewed=False)
    assert [Work("r1", "ec-p256")] == renewal.begin(DOCUMENT)
    assert [rotation.requested("r1", "CSR")] == _reports(renewal.worked(Worked(Work("r1", "ec-p256"), csr="CSR")))
    return renewal


def test_it_asks_keeps_connects_and_reports() -> None:
    """A delta has only what differs, so it reads the whole; the job has succeeded once it is connected anew."""
    renewal = _begun()
    get = Publish(topics.shadow("pump", "get", rotation.SHADOW), b"")
    assert [get] == renewal.received("update/delta", b'{"state":{"attempt":"a1"}}')
    assert [Work("r1", delivery=DELIVERY)] == renewal.received("get/accepted", _state(DELIVERY.desired()))
    assert [] == renewal.received("get/accepted", _state(DELIVERY.desired()))
    assert Reconnect() == renewal.worked(Worked(Work("r1", delivery=DELIVERY)))[-1]
    actions = renewal.connected("c2", renewed=True)
    assert [DELIVERY.renewed()] == _reports(actions)
    assert isinstance(actions[-1], Ended)
    assert "SUCCEEDED" == actions[-1].outcome.status
    assert [] == renewal.received("get/accepted", _state(DELIVERY.desired(), attempt="a1"))


def test_it_shows_itself_again_to_an_operator_who_was_away() -> None:
    """An attempt that is not answered, of the certificate that it has: it connects once more, without a job."""
    renewal = Renewal("pump")
    assert topics.shadow("pump", "get", rotation.SHADOW) == renewal.connected("c2", renewed=True)[0].topic  # type: ignore[union-attr]
    again = Delivery("r1", "PEM", "c2", "a2")
    assert [Reconnect()] == renewal.received("get/accepted", _state(again.desired(), attempt="a1"))
    assert [again.renewed()] == _reports(renewal.connected("c2", renewed=True))


def test_with_the_old_one_it_tries_again() -> None:
    """Refused with the new certificate it comes back with the old one, and takes the delivery once more."""
    renewal = _begun()
    renewal.received("get/accepted", _state(DELIVERY.desired()))
    renewal.worked(Worked(Work("r1", delivery=DELIVERY)))
    assert isinstance(renewal.connected("c1", renewed=False)[0], Publish)
    assert [Work("r1", delivery=DELIVERY)] == renewal.received("get/accepted", _state(DELIVERY.desired()))


@pytest.mark.parametrize(
    "desired",
    [None, {}, {**DELIVERY.desired(), "rotation": "other"}, {**DELIVERY.desired(), "certificate": 1}, {"attempt": "a"}],
)
def test_what_is_no_delivery_for_it_changes_nothing(desired: Any) -> None:
    """Another rotation's, half a one, none."""
    assert [] == _begun().received("get/accepted", _state(desired))


def test_it_says_that_it_cannot() -> None:
    """One that refuses, and a job of another protocol; a fault on the way ends the job, and is reported."""
    refusing = Renewal("pump", Role(fails=True)).begin(DOCUMENT)
    assert ["failed"] == [report["state"] for report in _reports(refusing)]
    (other,) = Renewal("pump").begin({**DOCUMENT, "shadow": "elsewhere"})
    assert isinstance(other, Ended)
    faulty = _begun().worked(Worked(Work("r1", delivery=DELIVERY), fault="no room"))
    assert [rotation.failed("r1", "no room")] == _reports(faulty)
    assert ["REJECTED", "REJECTED", "FAILED"] == [
        each.outcome.status for each in (refusing[-1], other, faulty[-1]) if isinstance(each, Ended)
    ]
    (told,) = _begun().received("get/accepted", b"[")
    assert isinstance(told, Told)
    assert "unreadable" == told.event


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    """Of a device that was onboarded."""
    first = Identity("pump", "e", 1, tmp_path / "c", tmp_path / "k", tmp_path / "ca", "f" * 64)
    return Credentials(tmp_path / "state", first)


def test_a_new_certificate_counts_once_it_was_accepted(credentials: Credentials, tmp_path: Path) -> None:
    """One key for a rotation, whoever asks; the old one has its turn where the new one is refused; then it stays."""
    asked = credentials.perform(Work("r1", "ec-p256"))
    assert asked == credentials.perform(Work("r1", "ec-p256"))
    key = tmp_path / "state" / ("f" * 32) / "r1" / "private.pem.key"
    assert 0o600 == key.stat().st_mode & 0o777
    issued = AUTHORITY.sign(asked.csr, common_name="pump")
    assert (
        ""
        == credentials.perform(
            Work("r1", delivery=Delivery("r1", issued.certificate_pem, issued.certificate_id, "a"))
        ).fault
    )
    seen = [credentials.identity().certificate_id]
    for _ in range(2):
        credentials.down()
        seen.append(credentials.identity().certificate_id)
    assert [issued.certificate_id, "f" * 64, issued.certificate_id] == seen
    assert not credentials.renewed
    credentials.connected()
    assert (issued.certificate_id, True) == (credentials.identity().certificate_id, credentials.renewed)
    anew = Credentials(tmp_path / "state", credentials.identity())
    assert not anew.renewed


def test_a_certificate_that_is_not_its_own_is_not_taken(credentials: Credentials) -> None:
    """Of another key, of another id than it is said to be, no certificate: a fault, and the old one goes on."""
    credentials.perform(Work("r1", "ec-p256"))
    stranger = AUTHORITY.sign(requests.create("pump", "ec-p256")[1], common_name="pump")
    for pem, certificate_id in (
        (stranger.certificate_pem, stranger.certificate_id),
        (stranger.certificate_pem, "0" * 64),
        ("PEM", "0" * 64),
    ):
        assert credentials.perform(Work("r1", delivery=Delivery("r1", pem, certificate_id, "a"))).fault
    assert "f" * 64 == credentials.identity().certificate_id
