"""What devices ask for over HTTPS that no service model has: credentials, a core's thing groups, discovery.

Sources: AWS IoT developer guide, authorizing-direct-aws; nucleus lite's own requests; Greengrass developer guide,
device-auth. A core asks for itself alone: its certificate is attached to the thing that it names.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from iotctl.local.gateway.answers import Answer
from iotctl.local.services import OPERATIONS, AwsError, certificates, principals
from iotctl.semantics.names import THING_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotctl.local.gateway.authorizer import PolicyAuthorizer
    from iotctl.local.gateway.mqtt.session import Client
    from iotctl.local.store import Store

CREDENTIALS: Final = "iot-credentials:AssumeRoleWithCertificate"
THING_GROUPS: Final = "greengrassv2-data:ListThingGroupsForCoreDevice"
DISCOVER: Final = "greengrassv2-data:Discover"

_ROUTES: Final = {
    CREDENTIALS: re.compile(r"/role-aliases/([^/]+)/credentials"),
    THING_GROUPS: re.compile(r"/greengrass/v2/coreDevices/([^/]+)/thingGroups"),
    DISCOVER: re.compile(r"/greengrass/discover/thing/([^/]+)"),
}
_THING_HEADER: Final = "x-amzn-iot-thingname"
_STATUS: Final = {"ResourceNotFoundException": 404}


class CoreApi:
    """The requests of devices that are not in a service model.

    Args:
        store: what they are about.
        authorizer: what devices' policies allow.

    """

    def __init__(self, store: Store, authorizer: PolicyAuthorizer) -> None:
        self._store = store
        self._authorizer = authorizer

    def answer(self, client: Client, method: str, path: str, headers: Mapping[str, str]) -> tuple[str, Answer] | None:
        """The name of the operation and its answer; None: it is another request.

        Args:
            client: the device.
            method: of the request.
            path: as it was sent, without the query.
            headers: looked up without regard to case.

        """
        if method != "GET":
            return None
        for name, route in _ROUTES.items():
            found = route.fullmatch(path)
            if found:
                try:
                    return name, _json(200, self._carry_out(name, client, unquote(found[1]), headers))
                except AwsError as error:
                    return name, _json(_STATUS.get(error.code, 403), {"message": error.message})
        return None

    def _carry_out(self, name: str, client: Client, named: str, headers: Mapping[str, str]) -> dict[str, Any]:
        if name == CREDENTIALS:
            # Only here the thing of a request is known: its variables count, and its groups' policies.
            thing_name = headers.get(_THING_HEADER)
            if thing_name is not None:
                self._check_thing(client, thing_name)
                client = replace(client, client_id=thing_name)
            self._permit(client, "iot:AssumeRoleWithCertificate", f"rolealias/{named}")
            return OPERATIONS[name](self._store, roleAlias=named, principal=client.principal.identity)
        self._check_thing(client, named)
        if name == DISCOVER:
            self._permit(client, "greengrass:Discover", f"thing/{named}")
            return OPERATIONS[name](self._store, thingName=named)
        resource = self._store.arn(f"coreDevices:{named}", "greengrass")
        self._permit(client, "greengrass:ListThingGroupsForCoreDevice", resource)
        return OPERATIONS[name](self._store, coreDeviceThingName=named)

    def _check_thing(self, client: Client, thing_name: str) -> None:
        principal = certificates.arn_of(self._store, client.principal.identity)
        if THING_NAME.fault(thing_name) or not principals.attached(self._store, principal, thing_name):
            raise AwsError("AccessDeniedException", "Access Denied")

    def _permit(self, client: Client, action: str, resource: str) -> None:
        if not self._authorizer.allows(client, action, resource):
            raise AwsError("AccessDeniedException", "Access Denied")


def _json(status: int, content: Mapping[str, Any]) -> Answer:
    return Answer(status, json.dumps(content, separators=(",", ":")).encode())
