"""What a core asks the cloud over HTTPS with its certificate: groups, component versions, artifacts, credentials.

It blocks: it runs in a thread. Sources: the service model greengrassv2 (its data plane), the developer guides'
device-auth and authorizing-direct-aws pages; the nucleus' ThingGroupHelper, ComponentServiceHelper and
GreengrassRepositoryDownloader.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import random
import ssl
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote

from iotctl import clock
from iotctl.errors import Interrupted
from iotctl.local.devices.core.faults import Code, Failed, Offline
from iotctl.local.devices.core.presign import Credentials
from iotctl.local.devices.core.resolve import Found
from iotctl.text import sanitize

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from iotctl.local.devices.core.place import Settings

LONGEST_WAIT: Final = 60.0
RENEW: Final = timedelta(minutes=5)
"""Credentials that end so soon are asked for anew."""

_SILENCE_SECONDS: Final = 30.0
_LARGEST: Final = 4 * 1024 * 1024  # bytes of an answer
_RANDOM: Final = random.SystemRandom()
_LATER: Final = frozenset({408, 429})
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: Any


class Cloud:
    """The cloud as a core sees it."""

    def __init__(self, settings: Settings, platform: Mapping[str, str]) -> None:
        self._settings = settings
        self._platform = platform
        self._lock = threading.Lock()
        self._credentials: Credentials | None = None

    def thing_groups(self) -> list[str] | None:
        """The groups that this core may have deployments of: `thinggroup/NAME`; None: its policy does not say.

        Raises:
            Offline: it must be asked again. Failed: it is refused.

        """
        found: list[str] = []
        token = ""
        while True:
            query = f"?nextToken={quote(token, safe='')}" if token else ""
            path = f"/greengrass/v2/coreDevices/{quote(self._settings.thing_name, safe='')}/thingGroups{query}"
            answer = self._ask("GET", path)
            if answer.status == 403:
                return None
            body = _good(answer, "ListThingGroupsForCoreDevice")
            for group in body.get("thingGroups") or ():
                parents = group.get("rootToParentThingGroups") or ()
                found += [f"thinggroup/{one['thingGroupName']}" for one in (group, *parents)]
            token = body.get("nextToken") or ""
            if not token:
                return list(dict.fromkeys(found))

    def resolve(self, name: str, requirements: Mapping[str, str]) -> Found:
        """The version of a component that meets all requirements, by who requires them.

        Raises:
            Offline: it must be asked again. Failed: there is none, or it is refused.

        """
        candidate = {"componentName": name, "versionRequirements": dict(requirements)}
        asked = {
            "platform": {"name": self._platform["os"], "attributes": dict(self._platform)},
            "componentCandidates": [candidate],
        }
        answer = self._ask("POST", "/greengrass/v2/resolveComponentCandidates", asked)
        if answer.status == 404:
            raise Failed(_message(answer), Code.NO_VERSION, Code.REQUIREMENTS)
        body = _good(answer, "ResolveComponentCandidates")
        try:
            (one,) = body["resolvedComponentVersions"]
            recipe = json.loads(base64.b64decode(one["recipe"]))
            found = Found(one["componentName"], one["componentVersion"], one["arn"], recipe)
            _check_shape(recipe)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Failed(f"the cloud's answer about {name} cannot be read", Code.RECIPE) from error
        if found.name != name:
            raise Failed(f"the cloud answered about another component than {name}", Code.RECIPE)
        return found

    def artifact_url(self, arn: str, name: str) -> str:
        """A URL that gives an artifact for a while.

        Raises:
            Offline: it must be asked again. Failed: it is refused.

        """
        answer = self._ask("GET", f"/greengrass/v2/components/{quote(arn, safe=':')}/artifacts/{quote(name, safe='')}")
        if answer.status == 404:
            raise Failed(f"there is no artifact {name}: {_message(answer)}", Code.DOWNLOAD)
        return str(_good(answer, "GetComponentVersionArtifact").get("preSignedUrl", ""))

    def credentials(self) -> Credentials:
        """Temporary credentials of the role alias; the same ones until they are about to end.

        Raises:
            Offline: they must be asked for again. Failed: they are refused.

        """
        with self._lock:
            found = self._credentials
            if found is None or clock.now() + RENEW >= found.expires:
                found = self._credentials = self._new_credentials()
            return found

    def _new_credentials(self) -> Credentials:
        alias = self._settings.role_alias
        answer = self._ask(
            "GET",
            f"/role-aliases/{quote(alias, safe='')}/credentials",
            headers={"x-amzn-iot-thingname": self._settings.thing_name},
            address=self._settings.credentials,
        )
        if not 200 <= answer.status < 300:
            said = f"the role alias {alias} gives this core no credentials: {_message(answer)}"
            raise Failed(said, Code.CREDENTIALS)
        try:
            found = answer.body["credentials"]
            expires = datetime.fromisoformat(found["expiration"])
            return Credentials(
                found["accessKeyId"], found["secretAccessKey"], found["sessionToken"], found["expiration"], expires
            )
        except (ValueError, KeyError, TypeError):
            # Without a cause: the answer holds a secret.
            raise Failed("the credentials endpoint's answer cannot be read", Code.CREDENTIALS) from None

    def _ask(
        self,
        method: str,
        path: str,
        content: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        address: tuple[str, int] | None = None,
    ) -> _Answer:
        host, port = address or (self._settings.identity.endpoint, self._settings.https_port)
        sent = {"content-type": "application/json", **(headers or {})}
        try:
            connection = http.client.HTTPSConnection(host, port, timeout=_SILENCE_SECONDS, context=self._context())
            with contextlib.closing(connection):
                connection.request(method, path, json.dumps(content).encode() if content else None, sent)
                with connection.getresponse() as response:
                    status, body = response.status, response.read(_LARGEST)
        except (OSError, http.client.HTTPException) as error:
            raise Offline(f"{host}:{port} cannot be reached: {sanitize(str(error)) or type(error).__name__}") from error
        if status in _LATER or status >= 500:
            raise Offline(f"{host}:{port} answered {status}")
        try:
            return _Answer(status, json.loads(body) if body else {})
        except ValueError as error:
            if status < 400:  # something between this core and the cloud answered
                raise Offline(f"{host}:{port} answered what is not JSON") from error
            return _Answer(status, {})

    def _context(self) -> ssl.SSLContext:
        identity = self._settings.identity
        context = ssl.create_default_context(cafile=str(identity.ca_file))
        context.load_cert_chain(identity.certificate, identity.key)
        return context


def patiently(act: Callable[[], _T], stop: threading.Event, told: Callable[[str], None], first_wait: float = 1.0) -> _T:
    """What an act gives, tried until the cloud can be reached: a core may be offline for long.

    Args:
        act: is tried.
        stop: ends it.
        told: called once with the reason, when it does not work at first.
        first_wait: seconds before the second try, doubled up to LONGEST_WAIT.

    Raises:
        Interrupted: it was stopped. Failed: from the act.

    """
    tries = 0
    while True:
        if stop.is_set():
            raise Interrupted("the deployment was stopped")
        try:
            return act()
        except Offline as error:
            if tries == 0:
                told(str(error))
        longest = min(LONGEST_WAIT, first_wait * 2.0 ** min(tries, 16))
        tries += 1
        stop.wait(_RANDOM.uniform(longest / 2, longest))


def _check_shape(recipe: Any) -> None:  # noqa: ANN401  checked here
    """Refuse a recipe of another shape than every recipe has.

    Raises:
        TypeError.

    """
    parts = [recipe, recipe.get("ComponentDependencies") or {}, recipe.get("ComponentConfiguration") or {}]
    parts += [*parts[1].values(), parts[2].get("DefaultConfiguration") or {}]
    for manifest in recipe.get("Manifests") or []:
        parts += [manifest, manifest.get("Platform") or {}, manifest.get("Lifecycle") or {}]
        parts += manifest.get("Artifacts") or []
    if not all(isinstance(part, dict) for part in parts):
        raise TypeError("a part of the recipe is no object")


def _good(answer: _Answer, operation: str) -> Mapping[str, Any]:
    if answer.status in {401, 403}:
        raise Failed(f"this core's policy does not allow greengrass:{operation}", Code.ACCESS)
    if not 200 <= answer.status < 300 or not isinstance(answer.body, dict):
        raise Failed(f"{operation}: {answer.status} {_message(answer)}", Code.BAD_REQUEST)
    found: Mapping[str, Any] = answer.body
    return found


def _message(answer: _Answer) -> str:
    body = answer.body if isinstance(answer.body, dict) else {}
    return sanitize(str(body.get("message") or body.get("Message") or answer.status))[:500]
