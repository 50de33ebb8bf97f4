"""A core's own thing, certificate, policy and role alias: found, or made by the operator's AWS operations.

The order is onboarding's: the bundle on disk first, its certificate claimed by the thing, the policy last. So what a
stopped run left is found and gone on with, and no second certificate is made.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from iotctl import bundle, clock, files, templates, text
from iotctl.aws import Aws
from iotctl.errors import Conflict, Exists, Integrity, Local, Locked, NotFound, Usage
from iotctl.local.devices.core.place import DIRECTORY, Settings
from iotctl.local.devices.session import Identity
from iotctl.semantics import names
from iotctl.target import CORE_ROLE, Target

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from iotctl.context import Context
    from iotctl.target import Platform

POLICY: Final = "iotctl-greengrass-core"
"""The policy of the template greengrass-core, under the name that onboarding gives it."""

_CLAIM: Final = "iotctl-cert"
_TEMPLATE: Final = "greengrass-core"
_DAYS: Final = 3650
_CREDENTIAL_PORT: Final = 443
_PATIENCE_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 0.02
_PLACES: Final = "cloud.json"


def found_or_made(context: Context, thing_name: str, groups: Sequence[str] = ()) -> Settings:
    """A core of the local platform: made where it is not there; where the platform does not run, as it was.

    Raises:
        Local: the platform does not run, and the core was never here, or is to be put into groups. Usage, Conflict.

    """
    try:
        platform = context.platform
    except Local as error:
        found = None if groups or error.code != "NotRunning" else remembered(context.home, thing_name)
        if found is None:
            raise
        return found
    return provision(platform, context.home, thing_name, groups)


def provision(platform: Platform, home: Path, thing_name: str, groups: Sequence[str] = ()) -> Settings:
    """A core on the local platform: what is not there of it is made.

    Args:
        platform: where it is.
        home: of this tool's state; the core's bundle and its own directory are kept there, by account.
        thing_name: of the core.
        groups: thing groups to be in; those that do not exist are made.

    Raises:
        Usage: a name that AWS does not take. Conflict: the thing exists and is not this core's.

    """
    _check(names.THING_NAME, thing_name)
    for group in groups:
        _check(names.THING_GROUP_NAME, group)
    aws = Aws(platform=platform)
    target = aws.target
    directory = home / "cores" / f"{target.account_id}-{target.region}"
    files.private_directory(directory)
    endpoint = aws.call("iot:DescribeEndpoint", endpointType="iot:Data-ATS")["endpointAddress"]
    ports = {"mqttPort": platform.mqtt_port, "httpsPort": platform.https_port}
    with _alone(directory / "lock"):
        made = _bundle(directory, target, thing_name, {**target.to_json(), "endpoint": endpoint, **ports}, platform)
    _register(aws, thing_name, made)
    for group in groups:
        with contextlib.suppress(Exists):  # with other properties
            aws.call("iot:CreateThingGroup", thingGroupName=group)
        aws.call("iot:AddThingToThingGroup", thingGroupName=group, thingName=thing_name)
    _allow(aws, target, made["certificateArn"])
    _alias(aws, target)
    found = settings(directory, thing_name, (endpoint, platform.https_port), platform.http_url)
    # The platform's ports and its CA may be others than when the bundle was made.
    identity = replace(found.identity, port=platform.mqtt_port, ca_file=Path(platform.ca_file))
    found = replace(found, identity=identity, https_port=platform.https_port)
    _remember(found)
    return found


def remembered(home: Path, thing_name: str) -> Settings | None:
    """A core as it was when the local platform ran last: it goes on with what it has; None: it was never here.

    Raises:
        Integrity: its bundle is damaged.

    """
    name = bundle.directory_name(thing_name)
    places = sorted((home / "cores").glob(f"*/{DIRECTORY}/{name}/{_PLACES}"), key=lambda place: place.stat().st_mtime)
    if not places:
        return None
    known = json.loads(places[-1].read_bytes())
    found = settings(places[-1].parents[2], thing_name, (known["endpoint"], known["httpsPort"]), known["s3"])
    identity = replace(found.identity, port=known["mqttPort"], ca_file=Path(known["caFile"]))
    return replace(found, identity=identity, https_port=known["httpsPort"])


def _remember(found: Settings) -> None:
    known = {
        "endpoint": found.identity.endpoint,
        "mqttPort": found.identity.port,
        "httpsPort": found.https_port,
        "s3": found.s3,
        "caFile": str(found.identity.ca_file),
    }
    files.replace(found.root / _PLACES, json.dumps(known).encode())


def onboarded(context: Context, bundles: Path, thing_name: str, *, role_alias: str = CORE_ROLE) -> Settings:
    """A core that was onboarded, by its bundle. On AWS an operator's credentials are needed once, for an endpoint.

    Raises:
        NotFound: it has no bundle there. Integrity: the bundle is damaged. Local: it is for the local platform, which
            does not run. Conflict: it is for another account.

    """
    place = bundles / "devices" / bundle.directory_name(thing_name)
    if not place.is_dir():
        hint = "iotctl onboard apply makes it; without --bundles a core makes its own on the local platform"
        raise NotFound(f"there is no bundle of {thing_name} in {bundles}", hint=hint)
    config = bundle.load(place).config
    local = config["kind"] == "local"
    platform = context.platform if local else None
    aws = Aws(platform=platform) if local else context.aws
    if aws.target.account_id != config["accountId"]:
        said = f"the bundle of {thing_name} is for account {config['accountId']}, and this is {aws.target}"
        raise Conflict(said, code="OtherAccount")
    if platform:
        _alias(aws, aws.target)
        return settings(bundles, thing_name, (config["endpoint"], config["httpsPort"]), platform.http_url)
    endpoint = aws.call("iot:DescribeEndpoint", endpointType="iot:CredentialProvider")["endpointAddress"]
    return settings(bundles, thing_name, (endpoint, _CREDENTIAL_PORT), "", role_alias=role_alias)


def settings(
    bundles: Path, thing_name: str, credentials: tuple[str, int], s3: str, *, role_alias: str = CORE_ROLE
) -> Settings:
    """The settings of a core with a bundle.

    Raises:
        Integrity: the bundle is damaged, or has no key.

    """
    place = bundles / "devices" / bundle.directory_name(thing_name)
    config = bundle.load(place).config
    if not config["keyFile"]:
        raise Integrity(f"the bundle of {thing_name} has no key: its row brought a CSR", on=thing_name)
    # Absolute, because scripts run in directories of their own.
    certificate, key, ca_file = (
        (place / config[name]).resolve() for name in ("certificateFile", "keyFile", "rootCaFile")
    )
    identity = Identity(thing_name, config["endpoint"], config["mqttPort"], certificate, key, ca_file)
    target = Target(config["kind"], config["accountId"], config["region"])
    root = (bundles / DIRECTORY / place.name).resolve()
    root.mkdir(files.PRIVATE_DIRECTORY, parents=True, exist_ok=True)
    return Settings(identity, target, config["httpsPort"], credentials, role_alias, s3, root)


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold a lock for the moment that a bundle takes; another core that is being made is waited for.

    Raises:
        Locked: it takes too long.

    """
    deadline = clock.monotonic() + _PATIENCE_SECONDS
    with contextlib.ExitStack() as held:
        while True:
            try:
                held.enter_context(files.run_lock(lock, "local core"))
                break
            except Locked:
                if clock.monotonic() > deadline:
                    raise
            clock.sleep(_PAUSE_SECONDS)
        yield


def _bundle(
    directory: Path, target: Target, thing_name: str, config: Mapping[str, Any], platform: Platform
) -> dict[str, Any]:
    asked = {
        "directory": str(directory),
        "thingName": thing_name,
        "keyType": "ec-p256",
        "days": _DAYS,
        "rootCa": Path(platform.ca_file).read_text("ascii"),
        "certificateArn": target.arn("cert/"),
        "config": config,
    }
    (made,) = bundle.Publisher()([asked])
    if isinstance(made, Exception):
        raise made
    return made


def _register(aws: Aws, thing_name: str, made: Mapping[str, Any]) -> None:
    claim = {"attributes": {_CLAIM: made["certificateId"]}}
    try:
        aws.call("iot:CreateThing", thingName=thing_name, attributePayload=claim)
    except Exists:
        there = aws.call("iot:DescribeThing", thingName=thing_name).get("attributes", {}).get(_CLAIM)
        if there != made["certificateId"]:
            raise Conflict(
                f"the thing {thing_name} exists, and was not made for this core",
                hint="choose another name; or --bundles DIR if it was onboarded on this machine",
                on=thing_name,
            ) from None
    try:
        aws.call("iot:RegisterCertificateWithoutCA", certificatePem=made["certificatePem"], status="ACTIVE")
    except Exists:
        found = aws.call("iot:DescribeCertificate", certificateId=made["certificateId"])["certificateDescription"]
        if found["status"] != "ACTIVE":
            raise Conflict(f"the certificate of {thing_name} is {found['status']}", on=thing_name) from None
    aws.call(
        "iot:AttachThingPrincipal",
        thingName=thing_name,
        principal=made["certificateArn"],
        thingPrincipalType="EXCLUSIVE_THING",
    )


def _allow(aws: Aws, target: Target, certificate: str) -> None:
    document = templates.render_json(
        "policies", _TEMPLATE, partition=target.partition, region=target.region, account=target.account_id
    )
    try:
        aws.call("iot:CreatePolicy", policyName=POLICY, policyDocument=text.canonical(document))
    except Exists:
        there = json.loads(aws.call("iot:GetPolicy", policyName=POLICY)["policyDocument"])
        if there != document:
            raise Conflict(
                f"the policy {POLICY} exists with another document than the template {_TEMPLATE}",
                hint=f"look at it: aws iot get-policy --policy-name {POLICY}",
            ) from None
    aws.call("iot:AttachPolicy", policyName=POLICY, target=certificate)


def _alias(aws: Aws, target: Target) -> None:
    """The role alias that gives cores credentials."""
    try:
        aws.call("iot:CreateRoleAlias", roleAlias=CORE_ROLE, roleArn=target.role(CORE_ROLE))
    except Exists:
        return


def _check(rule: names.Rule, value: str) -> None:
    if fault := rule.fault(value):
        raise Usage(fault)
