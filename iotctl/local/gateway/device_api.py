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

_GREENGRASS_PATH: Final = "/greengrass/"
_JOBS_PATH: Final = re.compile(r"/things/[^/]+/jobs(?:/.*)?")


def service(path: str) -> str:
    """What a device's request for a path is taken to be signed for."""
    if path.startswith(_GREENGRASS_PATH):
        return "greengrass"
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


def _component(parameters: Mapping[str, Any]) -> str:
    return str(parameters["arn"])


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
    "GetComponentVersionArtifact": _component,
    "GetConnectivityInfo": _thing,
    "UpdateConnectivityInfo": _thing,
}


_OF_CORES: Final = frozenset({"GetComponentVersionArtifact", "GetConnectivityInfo", "UpdateConnectivityInfo"})


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
            self._authorizer.introduce(certificate, str(getattr(tls, "server_name", "")))
            raise _forbidden()
        address, port, *_ = transport.get_extra_info("peername")
        return Client("", Principal(identity), address, port)

    def permit(self, client: Client, operation: str, parameters: Mapping[str, Any]) -> None:
        """Refuse an operation (`iot-data:Publish`) that a device's policies do not allow.

        Raises:
            AwsError: ForbiddenException.

        """
        service, _, name = operation.partition(":")
        if service == "greengrassv2":
            self._permit_core(client, name, parameters)
            return
        if name == "Publish":
            allowed = self._authorizer.publish(client, parameters["topic"], retain=parameters.get("retain", False))
        else:
            resource = _RESOURCES.get(name)
            allowed = resource is not None and self._authorizer.allows(client, f"iot:{name}", resource(parameters))
        if not allowed:
            raise _forbidden()

    def _permit_core(self, client: Client, name: str, parameters: Mapping[str, Any]) -> None:
        """Neither thing variables nor groups' policies count for Greengrass, as HTTP names no thing."""
        if name == "ResolveComponentCandidates":
            # Which version it will be is the answer, so a policy must allow every version.
            names = [one.get("componentName", "") for one in parameters.get("componentCandidates", ())]
            resources = [self._authorizer.component(one) for one in names] or ["*"]
        else:
            resources = [_RESOURCES[name](parameters)] if name in _OF_CORES else []
        if not resources or not all(self._authorizer.allows(client, f"greengrass:{name}", one) for one in resources):
            raise AwsError("AccessDeniedException", f"Access Denied: greengrass:{name}")


def _forbidden() -> AwsError:
    return AwsError("ForbiddenException", "Forbidden")
