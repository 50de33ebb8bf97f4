"""HTTPS with a client certificate: who the device is, and what its policies let it do.

Source: AWS IoT developer guide, pages http, protocols and iot-action-resources. A policy cannot use the client id or
the thing here: HTTP names neither.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.gateway.mqtt.session import Client, Principal
from iotctl.local.services import AwsError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

    from iotctl.local.gateway.authorizer import PolicyAuthorizer

_JOBS_PATH: Final = re.compile(r"/things/[^/]+/jobs(?:/.*)?")


def service(path: str) -> str:
    """What a device's request for a path is taken to be signed for."""
    return "iot-jobs-data" if _JOBS_PATH.fullmatch(path) else "iotdata"


def _shadow(parameters: Mapping[str, Any]) -> str:
    name = parameters.get("shadowName")
    return f"thing/{parameters['thingName']}" + (f"/{name}" if name else "")


def _topic(parameters: Mapping[str, Any]) -> str:
    return f"topic/{parameters['topic']}"


def _thing(parameters: Mapping[str, Any]) -> str:
    return f"thing/{parameters['thingName']}"


def _client(parameters: Mapping[str, Any]) -> str:
    return f"client/{parameters['clientId']}"


_RESOURCES: Final[dict[str, Callable[[Mapping[str, Any]], str]]] = {
    "GetThingShadow": _shadow,
    "UpdateThingShadow": _shadow,
    "DeleteThingShadow": _shadow,
    "ListNamedShadowsForThing": lambda _: "*",
    "GetRetainedMessage": _topic,
    "ListRetainedMessages": lambda _: "*",
    "DeleteConnection": _client,
    "GetPendingJobExecutions": _thing,
    "StartNextPendingJobExecution": _thing,
    "DescribeJobExecution": _thing,
    "UpdateJobExecution": _thing,
}


class DeviceApi:
    """What devices may ask for over HTTPS.

    Args:
        authorizer: their policies, and which certificates are active.

    """

    def __init__(self, authorizer: PolicyAuthorizer) -> None:
        self._authorizer = authorizer

    def client(self, transport: asyncio.BaseTransport | None) -> Client | None:
        """The device at the other end of a connection; None: it has shown no certificate.

        Raises:
            AwsError: its certificate is not active.

        """
        tls = transport.get_extra_info("ssl_object") if transport is not None else None
        certificate = tls.getpeercert(binary_form=True) if tls is not None else None
        if transport is None or certificate is None:
            return None
        identity = sha256(certificate).hexdigest()
        if not self._authorizer.active(identity, certificate):
            raise _forbidden()
        address, port, *_ = transport.get_extra_info("peername")
        return Client("", Principal(identity), address, port)

    def permit(self, client: Client, operation: str, parameters: Mapping[str, Any]) -> None:
        """Refuse an operation (`iot-data:Publish`) that a device's policies do not allow.

        Raises:
            AwsError: ForbiddenException.

        """
        name = operation.partition(":")[2]
        if name == "Publish":
            allowed = self._authorizer.publish(client, parameters["topic"], retain=parameters.get("retain", False))
        else:
            resource = _RESOURCES.get(name)
            allowed = resource is not None and self._authorizer.allows(client, f"iot:{name}", resource(parameters))
        if not allowed:
            raise _forbidden()


def _forbidden() -> AwsError:
    return AwsError("ForbiddenException", "Forbidden")
