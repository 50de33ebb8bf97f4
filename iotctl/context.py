"""What a command needs from the world, each part made when it is first asked for."""

from __future__ import annotations

import functools
import json
import logging
import os
from typing import TYPE_CHECKING, Any

from iotctl import clock, files
from iotctl.errors import Auth, Error, Local, Usage
from iotctl.semantics import quotas
from iotctl.target import Platform

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from iotctl import pki
    from iotctl.aws import Aws
    from iotctl.inbox import Inbox
    from iotctl.mqtt import Connection, Item
    from iotctl.target import Target
    from iotctl.world import World

log = logging.getLogger(__name__)

PLATFORM_FILE = "platform.json"
PLATFORM_LOCK = "lock"


class Context:
    """The world of one command.

    Attributes:
        words: the command as it was typed, without options: "onboard apply".
        region: as `--region` named it.
        dry_run: show the plan, do nothing.
        tell: says something to a person while a long command works; the root's own.
        passphrase: that the keys of bundles are encrypted with; kept here only, so that no plan or journal holds it.
        authority: the CA that signs devices' certificates, where somebody brings it; with its key, kept here only.

    """

    def __init__(
        self,
        *,
        profile: str | None = None,
        region: str | None = None,
        expect_account: str | None = None,
        local: bool = False,
        words: str = "",
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.words = words
        self.tell = tell
        self.dry_run = False
        self.passphrase = b""
        self.authority: pki.Authority | None = None
        self._profile = profile
        self.region = region
        self._expect_account = expect_account
        self._local = local or _target_variable() == "local"

    @functools.cached_property
    def aws(self) -> Aws:
        """The account, or the local platform, that this command acts on; checked against `--expect-account`.

        Raises:
            Auth: no credentials, or it is another account than the one expected.

        """
        aws = self._account()
        if self._expect_account and aws.target.account_id != self._expect_account:
            raise Auth(
                f"this is {aws.target}, and --expect-account says {self._expect_account}",
                code="WrongAccount",
                hint="choose another --profile; nothing was done",
            )
        return aws

    def writing(self) -> None:
        """What was to be read has been read: the plan that it led to may change something."""
        self.aws.read_only = False

    @functools.cached_property
    def sending(self) -> Aws:
        """The same account once more, for what a command that only reads sends out: a notification, nothing else."""
        assert self.aws.target, "it was checked to be the account that was expected"
        return self._account()

    def _account(self) -> Aws:
        from iotctl.aws import Aws

        if self._local and self._profile:
            raise Usage("--profile names an AWS account, --local the local platform: give one of them")
        return Aws(profile=self._profile, region=self.region, platform=self.platform if self._local else None)

    @property
    def reading(self) -> Aws:
        """The same account for a command that may only read: from now on whatever is no read is refused."""
        self.aws.read_only = True
        return self.aws

    @property
    def target(self) -> Target:
        """The account and region this command acts on."""
        return self.aws.target

    @functools.cached_property
    def quotas(self) -> Mapping[str, float]:
        """Calls per second that this account is allowed, as Service Quotas tells them; none where it does not.

        The local platform tells of those that it enforces: of none, unless it was told to throttle.
        """
        try:
            pages = self.aws.pages("service-quotas:ListServiceQuotas", ServiceCode=quotas.SERVICE, MaxResults=100)
            return quotas.rates(quota for page in pages for quota in page.get("Quotas", []))
        except Error as error:
            log.info("Service Quotas cannot be read: %s", error.cause or error.message)
            return {}

    def world(self, rates: Mapping[str, float] | None = None, **more: Any) -> World:  # noqa: ANN401  World's own fields
        """What the engine needs of the world to act on this account.

        Args:
            rates: quotas that are known of it; of the others the search begins at AWS's defaults.
            more: World's own fields.

        """
        from iotctl.world import World

        starts = {} if self.target.kind == "local" else quotas.DEFAULTS
        return World(call=self.aws.call, members=self.aws.members, rates=rates or {}, starts=starts, **more)

    @functools.cached_property
    def platform(self) -> Platform:
        """The local platform, as the file that it keeps while it runs names it.

        Raises:
            Local: none is running, or its file is damaged.

        """
        path = self.platform_directory / PLATFORM_FILE
        try:
            found = Platform.from_json(json.loads(path.read_bytes()))
        except FileNotFoundError:
            found = None
        except (OSError, ValueError) as error:
            raise Local(f"{path} cannot be read", hint="iotctl local reset") from error
        # One that was killed leaves its file, and its port may be another program's by now.
        if found is None or not files.is_locked(self.platform_directory / PLATFORM_LOCK):
            raise Local("no local platform is running", code="NotRunning", hint="iotctl local up --detach")
        clock.turn(found.course)
        return found

    def operator(self, inbox: Inbox[Item] | None = None) -> Connection:
        """An MQTT connection of the operator's: over WebSocket, signed with the credentials of this command."""
        from iotctl.mqtt import Connection

        target = self.target
        platform = self.platform if target.kind == "local" else None
        return Connection.operator(
            self.aws.call("iot:DescribeEndpoint", endpointType="iot:Data-ATS")["endpointAddress"],
            platform.https_port if platform else 443,
            region=target.region,
            credentials=self.aws.credentials,
            ca_file=platform.ca_file if platform else None,
            paced=platform is None,
            inbox=inbox,
        )

    @property
    def platform_directory(self) -> Path:
        """Where the local platform keeps its state."""
        return self.home / "local"

    @property
    def home(self) -> Path:
        """The directory of this tool's own state."""
        return files.state_home()


def _target_variable() -> str:
    value = os.environ.get("IOTCTL_TARGET", "")
    if value not in {"", "aws", "local"}:
        raise Usage(f"IOTCTL_TARGET is {value!r}", hint="export IOTCTL_TARGET=local, or =aws")
    return value
