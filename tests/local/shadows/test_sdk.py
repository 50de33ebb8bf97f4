"""Shadows with AWS's own device SDK, unmodified: IotShadowClient and IotShadowClientV2, MQTT 3.1.1 and MQTT 5."""

from __future__ import annotations

import queue
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest
from awscrt import mqtt, mqtt5, mqtt_request_response
from awsiot import ServiceStreamOptions, V2ServiceException, iotshadow, mqtt5_client_builder, mqtt_connection_builder

from tests.local.clients import Device

if TYPE_CHECKING:
    from iotctl.target import Platform

PATIENCE = 15
QOS = mqtt.QoS.AT_LEAST_ONCE


@pytest.fixture
def pump(device: Callable[..., Device]) -> Device:
    """A registered device."""
    return device()


@pytest.fixture
def connection(running: Platform, pump: Device) -> Iterator[mqtt.Connection]:
    """The SDK's MQTT 3.1.1 connection of a device."""
    made = mqtt_connection_builder.mtls_from_path(
        endpoint="127.0.0.1",
        port=running.mqtt_port,
        cert_filepath=str(pump.certificate),
        pri_key_filepath=str(pump.key),
        ca_filepath=running.ca_file,
        client_id=pump.name,
        clean_session=True,
        keep_alive_secs=30,
    )
    made.connect().result(PATIENCE)
    yield made
    made.disconnect().result(PATIENCE)


@pytest.fixture
def client5(running: Platform, pump: Device) -> Iterator[mqtt5.Client]:
    """The SDK's MQTT 5 client of a device, without the throttle that it keeps to on AWS."""
    up: Future[None] = Future()
    down: Future[None] = Future()
    made = mqtt5_client_builder.mtls_from_path(
        endpoint="127.0.0.1",
        port=running.mqtt_port,
        cert_filepath=str(pump.certificate),
        pri_key_filepath=str(pump.key),
        ca_filepath=running.ca_file,
        client_id=pump.name,
        extended_validation_and_flow_control_options=mqtt5.ExtendedValidationAndFlowControlOptions.NONE,
        on_lifecycle_connection_success=lambda _: up.set_result(None),
        on_lifecycle_stopped=lambda _: down.set_result(None),
    )
    made.start()
    up.result(PATIENCE)
    yield made
    made.stop()
    down.result(PATIENCE)


@pytest.fixture(params=["3.1.1", "5"])
def v2(request: pytest.FixtureRequest) -> iotshadow.IotShadowClientV2:
    """IotShadowClientV2 over either version of MQTT."""
    options = mqtt_request_response.ClientOptions(2, 4, PATIENCE)
    transport = request.getfixturevalue("connection" if request.param == "3.1.1" else "client5")
    return iotshadow.IotShadowClientV2(transport, options)


@pytest.fixture(params=["3.1.1", "5"])
def v1(request: pytest.FixtureRequest) -> iotshadow.IotShadowClient:
    """IotShadowClient over either version of MQTT."""
    return iotshadow.IotShadowClient(request.getfixturevalue("connection" if request.param == "3.1.1" else "client5"))


def test_v2_updates_gets_and_deletes(v2: iotshadow.IotShadowClientV2, pump: Device) -> None:
    """The classic shadow: update, get, delete, and the refusal of a get after that."""
    state = iotshadow.ShadowState(desired={"a": 1}, reported={"b": 2})
    updated = v2.update_shadow(iotshadow.UpdateShadowRequest(thing_name=pump.name, state=state)).result(PATIENCE)
    found = v2.get_shadow(iotshadow.GetShadowRequest(thing_name=pump.name)).result(PATIENCE)
    deleted = v2.delete_shadow(iotshadow.DeleteShadowRequest(thing_name=pump.name)).result(PATIENCE)
    with pytest.raises(V2ServiceException) as missing:
        v2.get_shadow(iotshadow.GetShadowRequest(thing_name=pump.name)).result(PATIENCE)
    assert (1, {"a": 1}) == (updated.version, updated.state.desired)
    assert ({"a": 1}, {"b": 2}, {"a": 1}) == (found.state.desired, found.state.reported, found.state.delta)
    assert 1 == deleted.version
    error = missing.value.modeled_error
    assert (404, f"No shadow exists with name: '{pump.name}'") == (error.code, error.message)


def test_v2_knows_named_shadows_and_conflicts(v2: iotshadow.IotShadowClientV2, pump: Device) -> None:
    """A named shadow: update, get, delete, and the refusal of a stale version."""
    names = {"thing_name": pump.name, "shadow_name": "config"}
    state = iotshadow.ShadowState(desired={"a": 1})
    v2.update_named_shadow(iotshadow.UpdateNamedShadowRequest(**names, state=state)).result(PATIENCE)
    found = v2.get_named_shadow(iotshadow.GetNamedShadowRequest(**names)).result(PATIENCE)
    with pytest.raises(V2ServiceException) as stale:
        v2.update_named_shadow(iotshadow.UpdateNamedShadowRequest(**names, state=state, version=7)).result(PATIENCE)
    deleted = v2.delete_named_shadow(iotshadow.DeleteNamedShadowRequest(**names)).result(PATIENCE)
    error = stale.value.modeled_error
    assert ({"a": 1}, (409, "Version conflict"), 1) == (
        found.state.desired,
        (error.code, error.message),
        deleted.version,
    )


def test_v2_streams_what_changes(v2: iotshadow.IotShadowClientV2, pump: Device, data: Any) -> None:
    """The streams of deltas and documents hear an update that came over HTTP."""
    deltas: queue.Queue[Any] = queue.Queue()
    documents: queue.Queue[Any] = queue.Queue()
    streams = [
        v2.create_shadow_delta_updated_stream(
            iotshadow.ShadowDeltaUpdatedSubscriptionRequest(thing_name=pump.name), stream(deltas)
        ),
        v2.create_shadow_updated_stream(
            iotshadow.ShadowUpdatedSubscriptionRequest(thing_name=pump.name), stream(documents)
        ),
    ]
    for number, one in enumerate(streams):
        one.open()
        (deltas, documents)[number].get(timeout=PATIENCE)  # it is subscribed
    data.update_thing_shadow(thingName=pump.name, payload=b'{"state":{"desired":{"a":1}}}')
    delta, document = deltas.get(timeout=PATIENCE), documents.get(timeout=PATIENCE)
    assert ({"a": 1}, 1) == (delta.state, delta.version)
    assert (None, {"a": 1}) == (document.previous, document.current.state.desired)


def test_v1_updates_gets_and_hears_the_delta(v1: iotshadow.IotShadowClient, pump: Device) -> None:
    """Subscribe to the answers, publish a request, match the token: the way of the first client."""
    came: queue.Queue[Any] = queue.Queue()
    named = {"thing_name": pump.name}
    for subscription, _ in (
        v1.subscribe_to_update_shadow_accepted(iotshadow.UpdateShadowSubscriptionRequest(**named), QOS, came.put),
        v1.subscribe_to_update_shadow_rejected(iotshadow.UpdateShadowSubscriptionRequest(**named), QOS, came.put),
        v1.subscribe_to_shadow_delta_updated_events(
            iotshadow.ShadowDeltaUpdatedSubscriptionRequest(**named), QOS, came.put
        ),
        v1.subscribe_to_get_shadow_accepted(iotshadow.GetShadowSubscriptionRequest(**named), QOS, came.put),
        v1.subscribe_to_delete_shadow_accepted(iotshadow.DeleteShadowSubscriptionRequest(**named), QOS, came.put),
    ):
        subscription.result(PATIENCE)
    token = uuid.uuid4().hex
    state = iotshadow.ShadowState(desired={"a": 1})
    update = iotshadow.UpdateShadowRequest(**named, state=state, client_token=token)
    v1.publish_update_shadow(update, QOS).result(PATIENCE)
    accepted, delta = came.get(timeout=PATIENCE), came.get(timeout=PATIENCE)
    v1.publish_update_shadow(iotshadow.UpdateShadowRequest(**named, state=state, version=9), QOS).result(PATIENCE)
    rejected = came.get(timeout=PATIENCE)
    v1.publish_get_shadow(iotshadow.GetShadowRequest(**named), QOS).result(PATIENCE)
    found = came.get(timeout=PATIENCE)
    v1.publish_delete_shadow(iotshadow.DeleteShadowRequest(**named), QOS).result(PATIENCE)
    deleted = came.get(timeout=PATIENCE)
    assert (token, {"a": 1}, {"a": 1}) == (accepted.client_token, accepted.state.desired, delta.state)
    assert (409, "Version conflict") == (rejected.code, rejected.message)
    assert ({"a": 1}, 1) == (found.state.desired, deleted.version)


def stream(events: queue.Queue[Any]) -> ServiceStreamOptions[Any]:
    """The options of a stream that puts its events, and first that it is subscribed, in a queue."""
    return ServiceStreamOptions(incoming_event_listener=events.put, subscription_status_listener=events.put)
