"""What strangers send to fleet provisioning: any bytes are answered, and leave nothing behind."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl.local.platform import open_store
from iotctl.local.services import Message
from iotctl.local.services.provisioning import device, templates
from iotctl.local.state import State
from iotctl.semantics import cbor
from tests.local.provisioning.conftest import TEMPLATE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotctl.local.store import Store

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["certificateSigningRequest", "certificateOwnershipToken", "parameters", "x"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
TOPICS = (
    (device.on_create_from_csr, "$aws/certificates/create-from-csr"),
    (device.on_provision, "$aws/provisioning-templates/t/provision"),
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with a template `t`."""
    store = open_store(State(tmp_path_factory.mktemp("hostile")))
    role = f"arn:aws:iam::{store.account_id}:role/r"
    with store.transaction():
        templates.create_provisioning_template(
            store, templateName="t", templateBody=json.dumps(TEMPLATE), provisioningRoleArn=role, enabled=True
        )
    yield store
    store.close()


def rejected(store: Store, which: tuple[Any, str], form: str, payload: bytes) -> None:
    """Ask, and be rejected, in the form that was asked in."""
    listener, prefix = which
    store.drain()
    with store.transaction():
        listener(store, Message(f"{prefix}/{form}", payload, "client"))
    (answer,) = store.drain()
    assert f"{prefix}/{form}/rejected" == answer.topic
    said = json.loads(answer.payload) if form == "json" else cbor.decode(answer.payload)
    assert {"statusCode": 400, "errorCode": said["errorCode"], "errorMessage": said["errorMessage"]} == said
    assert None is store.row("SELECT 1 FROM certificate")


@given(which=st.sampled_from(TOPICS), form=st.sampled_from(["json", "cbor"]), payload=st.binary(max_size=80))
def test_any_bytes(world: Store, which: tuple[Any, str], form: str, payload: bytes) -> None:
    """Neither valid nor invalid."""
    rejected(world, which, form, payload)


@given(which=st.sampled_from(TOPICS), form=st.sampled_from(["json", "cbor"]), value=JSON)
def test_any_value(world: Store, which: tuple[Any, str], form: str, value: Any) -> None:
    """Well formed, of any shape; NaN and half characters too, which Python writes and JSON does not know."""
    try:
        payload = json.dumps(value).encode() if form == "json" else cbor.encode(value)
    except cbor.CborError:
        payload = b"\xff"
    rejected(world, which, form, payload)
