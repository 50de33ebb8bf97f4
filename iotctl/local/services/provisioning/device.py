"""Fleet provisioning over MQTT: a new certificate, by CSR or with a new key, and the registration by a template.

An answer goes to the client that asked, by its subscription where it has one, and to nobody else: a claim certificate
is many devices', and the answer holds a private key. Source: AWS IoT developer guide, fleet-provision-api. The error
codes are those that devices were seen to get (InvalidCertificateOwnershipToken, InvalidParameters); the guide lists
none, so where none is known a code says in words what it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from iotctl import text
from iotctl.errors import Usage
from iotctl.local.services import AwsError, certificates, on
from iotctl.local.services.provisioning import claims, templates
from iotctl.local.services.provisioning.registering import register
from iotctl.semantics import cbor, topics
from iotctl.semantics.intrinsics import TemplateError
from iotctl.semantics.provisioning import CERTIFICATE_ID, Kind
from iotctl.semantics.registration import evaluate

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl import pki
    from iotctl.local.services import Message
    from iotctl.local.store import Store

_JSON: Final = "json"


class Rejected(Exception):
    """A request that is answered on `…/rejected`."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.answer = {"statusCode": status, "errorCode": code, "errorMessage": message}


@on("$aws/certificates/create/+", prepare=certificates.new_keys)
def on_create(store: Store, message: Message, prepared: pki.Issued | None = None) -> None:
    """CreateKeysAndCertificate: the private key is in the answer and nowhere else."""

    def act(_: dict[str, Any]) -> dict[str, Any]:
        issued = prepared or certificates.new_keys(store)
        return {**_pending(store, issued), "privateKey": issued.private_key_pem.decode()}

    _answer(store, message, act)


@on("$aws/certificates/create-from-csr/+")
def on_create_from_csr(store: Store, message: Message) -> None:
    """CreateCertificateFromCsr: the key stays on the device."""

    def act(given: dict[str, Any]) -> dict[str, Any]:
        csr = given.get("certificateSigningRequest")
        if not isinstance(csr, str) or not csr:
            raise Rejected("InvalidParameters", "certificateSigningRequest must be a string")
        try:
            return _pending(store, certificates.signed(store, csr))
        except AwsError as error:
            raise Rejected("InvalidParameters", error.message) from error

    _answer(store, message, act)


@on("$aws/provisioning-templates/+/provision/+")
def on_provision(store: Store, message: Message) -> None:
    """RegisterThing: register the thing by a template, and activate the certificate that it was given."""
    captured = topics.capture("$aws/provisioning-templates/+/provision/+", message.topic)
    assert captured is not None, "it is the filter that brought the message"
    _answer(store, message, lambda given: _provision(store, captured[0], given))


def _provision(store: Store, name: str, given: dict[str, Any]) -> dict[str, Any]:
    token, parameters = given.get("certificateOwnershipToken"), given.get("parameters", {})
    if not isinstance(token, str) or not token:
        raise Rejected("InvalidCertificateOwnershipToken", "Certificate ownership token cannot be empty.")
    if parameters is None:
        parameters = {}
    if not isinstance(parameters, dict) or not all(isinstance(one, str) for one in parameters.values()):
        raise Rejected("InvalidParameters", "parameters must be an object of strings")
    row = templates.find(store, name)
    if row is None or row["type"] != Kind.FLEET.value:
        raise Rejected("ResourceNotFound", f"There is no fleet provisioning template {name}", 404)
    if not row["enabled"]:
        raise Rejected("AccessDenied", f"The provisioning template {name} is not enabled", 403)
    certificate = claims.owned(store, token)
    if certificate is None:
        message = "Certificate ownership token is invalid or has expired."
        raise Rejected("InvalidCertificateOwnershipToken", message)
    try:
        wanted = evaluate(templates.in_effect(store, row), {**parameters, CERTIFICATE_ID: certificate})
        if wanted.certificate is not None and wanted.certificate.certificate_id != certificate:
            raise Rejected("AccessDenied", "The template names a certificate that the token does not prove", 403)
        done = register(store, wanted)
    except TemplateError as error:
        raise Rejected("InvalidParameters", str(error)) from error
    except AwsError as error:
        raise Rejected(error.code.removesuffix("Exception"), error.message) from error
    named = {"thingName": done.thing_name} if done.thing_name else {}
    return {"deviceConfiguration": dict(wanted.device_configuration), **named}


def _pending(store: Store, issued: pki.Issued) -> dict[str, Any]:
    identity = certificates.pending(store, issued)
    return {
        "certificateId": identity,
        "certificatePem": issued.certificate_pem,
        "certificateOwnershipToken": claims.new_token(store, identity),
    }


def _answer(store: Store, message: Message, act: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Act on a request and answer it, in the format that its topic names."""
    payload_format = message.topic.rpartition("/")[2]
    if not message.client_id:
        return
    try:
        with store.attempt():
            answer = act(_read(message.payload, payload_format))
        verb = "accepted"
    except Rejected as refusal:
        answer, verb = refusal.answer, "rejected"
    content = text.canonical(answer).encode() if payload_format == _JSON else cbor.encode(answer)
    # Who asks without a subscription "might not" get the answer, says the guide; AWS's own nucleus lite (2.3 to 2.6)
    # subscribes to neither and gets it. By a subscription it comes with that one's QoS and the right to receive.
    store.publish(f"{message.topic}/{verb}", content, to=message.client_id, subscribed=True)


def _read(payload: bytes, payload_format: str) -> dict[str, Any]:
    """The members of a request; empty stands for none, a NUL at the end of JSON is what C programs send."""
    try:
        if payload_format == _JSON:
            content = text.loads(payload.rstrip(b"\0") or b"{}", name="the payload")
        else:
            content = cbor.decode(payload) if payload else {}
    except (Usage, cbor.CborError) as error:
        reason = error.message if isinstance(error, Usage) else str(error)
        raise Rejected("InvalidPayload", f"The payload is not valid {payload_format.upper()}: {reason}") from error
    if not isinstance(content, dict):
        raise Rejected("InvalidPayload", "The payload is not an object")
    return content
