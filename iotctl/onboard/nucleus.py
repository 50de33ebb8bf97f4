"""The bundle of an onboarded core -> `config.yaml` of AWS IoT Greengrass nucleus lite, and where its files go.

Source: nucleus lite's own documentation (docs/SETUP.md and its sample configuration, version 2.6): it reads
`/etc/greengrass/config.yaml` when it starts for the first time. JSON is YAML. MQTT is always on port 8883 of the data
endpoint; Greengrass' own requests go to `greengrassDataPlanePort` of it; credentials come from the other endpoint.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from iotctl import bundle, text
from iotctl.errors import Conflict, Local, NotFound, Usage
from iotctl.result import Result
from iotctl.target import CORE_ROLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotctl.context import Context


_MQTT_PORT: Final = 8883


def written(context: Context, thing_name: str, bundles: Path, role_alias: str, root: str, user: str) -> Result:
    """The configuration of a core that was onboarded, with words on where it and the bundle's files go.

    Args:
        context: whose account the core is of.
        thing_name: of the core.
        bundles: where its bundle is.
        role_alias: that gives it credentials; empty: iotctl's own.
        root: the directory of the nucleus, on the core.
        user: who runs components there, `USER:GROUP`.

    Raises:
        NotFound: it has no bundle, or there is no such role alias. Conflict: the bundle is of another account.
        Usage: the nucleus could not use it. Integrity: it is damaged.

    """
    place = bundle.newest(bundles / "devices" / bundle.directory_name(thing_name))
    if not place.is_dir():
        raise NotFound(f"there is no bundle of {thing_name} in {bundles}", hint="iotctl onboard apply makes it")
    if bundle.has_encrypted_key(bundles, thing_name):
        raise Usage(f"the key of {thing_name} is encrypted, and nucleus lite opens no such key")
    config = bundle.load(place).config
    aws = context.aws
    if aws.target.account_id != config["accountId"]:
        raise Conflict(f"the bundle of {thing_name} is for account {config['accountId']}, and this is {aws.target}")
    role_alias = role_alias or CORE_ROLE
    try:
        aws.call("iot:DescribeRoleAlias", roleAlias=role_alias)
    except NotFound as error:
        role = aws.target.role(CORE_ROLE) if config["kind"] == "local" else "ROLE"
        alone = f"aws iot create-role-alias --role-alias {role_alias} --role-arn {role}"
        hint = alone if config["kind"] == "local" else f"iotctl account template makes it; {alone}"
        raise NotFound(
            f"there is no role alias {role_alias}, so the core would get no credentials", hint=hint
        ) from error
    credentials = aws.call("iot:DescribeEndpoint", endpointType="iot:CredentialProvider")["endpointAddress"]
    value = configuration(config, credentials, role_alias, root, user)
    files = " ".join(str(place / config[name]) for name in ("keyFile", "certificateFile", "rootCaFile"))
    notes = [
        f"on the core: this as /etc/greengrass/config.yaml, and in {root}, of the user ggcore: {files}",
        "a core that ran before reads it again once its config.db is gone",
    ]
    if config["kind"] == "local":
        environment = f"AWS_ENDPOINT_URL={context.platform.http_url}"
        notes.append(f"for what components ask of S3 themselves: systemctl set-environment {environment}")
    return Result(value, text=text.document(value), notes=tuple(notes))


def configuration(config: Mapping[str, Any], credentials: str, role_alias: str, root: str, user: str) -> dict[str, Any]:
    """The content of `config.yaml`. Pure.

    Args:
        config: of the bundle.
        credentials: the endpoint of the credential provider.
        role_alias: that gives credentials.
        root: the directory of the nucleus.
        user: `USER:GROUP` of components.

    Raises:
        Usage: the bundle has no key. Local: the platform does not listen where nucleus lite connects.

    """
    if not config["keyFile"]:
        raise Usage(f"the bundle of {config['thingName']} has no key: its row brought a CSR")
    if config["mqttPort"] != _MQTT_PORT:
        raise Local(
            f"nucleus lite connects to port {_MQTT_PORT} only, and this platform listens on {config['mqttPort']}",
            hint="iotctl local up without --ports auto, and onboard again",
        )
    local = config["kind"] == "local"
    files = PurePosixPath(root)
    return {
        "system": {
            "privateKeyPath": str(files / config["keyFile"]),
            "certificateFilePath": str(files / config["certificateFile"]),
            "rootCaPath": str(files / config["rootCaFile"]),
            "rootPath": root,
            "thingName": config["thingName"],
        },
        "services": {
            "aws.greengrass.NucleusLite": {
                "componentType": "NUCLEUS",
                "configuration": {
                    "awsRegion": config["region"],
                    "iotCredEndpoint": f"{credentials}:{config['httpsPort']}" if local else credentials,
                    "iotDataEndpoint": config["endpoint"],
                    "iotRoleAlias": role_alias,
                    "runWithDefault": {"posixUser": user},
                    "greengrassDataPlanePort": str(config["httpsPort"]),
                },
            }
        },
    }
