"""Whom a security profile is about: a thing group, or all devices, registered or not.

Source: AWS IoT developer guide, detect-HowToHowTo, device-defender-detect ("unregistered devices").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, group_members, invalid, operation, thing_groups, things
from iotctl.local.services.defender.detect import profiles
from iotctl.local.services.paging import page

if TYPE_CHECKING:
    from iotctl.local.services.defender.detect.profiles import Profile
    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS security_profile_target (
    profile TEXT NOT NULL REFERENCES security_profile (name) ON DELETE CASCADE, target TEXT NOT NULL,
    PRIMARY KEY (profile, target)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS security_profile_by_target ON security_profile_target (target, profile)
"""

_ALL: Final = ("all/things", "all/registered-things", "all/unregistered-things")
_ATTACHED: Final = "SELECT * FROM security_profile p WHERE EXISTS (SELECT 1 FROM security_profile_target"
_MOST: Final = 5
"""Profiles of one target (AWS IoT Device Defender endpoints and quotas)."""


@operation("iot:AttachSecurityProfile")
def attach_security_profile(store: Store, securityProfileName: str, securityProfileTargetArn: str) -> None:
    """Let a profile be about a target; again is no error."""
    profiles.known(store, securityProfileName)
    target = _checked(store, securityProfileTargetArn)
    held = [
        row["profile"] for row in store.rows("SELECT profile FROM security_profile_target WHERE target = ?", target)
    ]
    if securityProfileName in held:
        return
    if len(held) >= _MOST:
        raise AwsError("LimitExceededException", f"A target cannot have more than {_MOST} security profiles")
    store.execute("INSERT INTO security_profile_target VALUES (?, ?)", securityProfileName, target)
    store.publish(f"$local/detect/{securityProfileName}", {})


@operation("iot:DetachSecurityProfile")
def detach_security_profile(store: Store, securityProfileName: str, securityProfileTargetArn: str) -> None:
    """Let a profile be about a target no more; one that is not is no error."""
    profiles.known(store, securityProfileName)
    store.execute(
        "DELETE FROM security_profile_target WHERE profile = ? AND target = ?",
        securityProfileName,
        _checked(store, securityProfileTargetArn),
    )
    store.publish(f"$local/detect/{securityProfileName}", {})


@operation("iot:ListTargetsForSecurityProfile")
def list_targets_for_security_profile(
    store: Store, securityProfileName: str, nextToken: str | None = None, maxResults: int | None = None
) -> dict[str, Any]:
    """The targets of a profile."""
    profiles.known(store, securityProfileName)
    select = "SELECT target FROM security_profile_target WHERE profile = ?"
    rows, token = page(store, select, [securityProfileName], by=("target",), size=maxResults, token=nextToken)
    return {"securityProfileTargets": [{"arn": row["target"]} for row in rows], "nextToken": token}


@operation("iot:ListSecurityProfilesForTarget")
def list_security_profiles_for_target(
    store: Store,
    *,
    securityProfileTargetArn: str,
    recursive: bool = False,
    nextToken: str | None = None,
    maxResults: int | None = None,
) -> dict[str, Any]:
    """The profiles of a target, and with `recursive` of the groups below it."""
    target = _checked(store, securityProfileTargetArn)
    prefix = store.arn("thinggroup/")
    names = [target]
    if recursive and target.startswith(prefix):
        rows = store.rows(thing_groups.DESCENDANTS, target.removeprefix(prefix))
        names = [prefix + row["name"] for row in rows]
    marks = ", ".join("?" * len(names))
    select = f"SELECT profile, target FROM security_profile_target WHERE target IN ({marks})"  # noqa: S608  question marks
    rows, token = page(store, select, names, by=("profile", "target"), size=maxResults, token=nextToken)
    found = [
        {"securityProfileIdentifier": profiles.identifier(store, row["profile"]), "target": {"arn": row["target"]}}
        for row in rows
    ]
    return {"securityProfileTargetMappings": found, "nextToken": token}


def profiles_of(store: Store, device: str) -> list[Profile]:
    """The profiles that are about a device: by its thing name or, where there is no such thing, its client id."""
    registered = things.find(store, device) is not None
    groups = [f"thinggroup/{name}" for name in group_members.groups_of(store, device)] if registered else []
    resources = ["all/things", "all/registered-things" if registered else "all/unregistered-things", *groups]
    select = f"{_ATTACHED} WHERE profile = p.name AND target IN ({', '.join('?' * len(resources))})) ORDER BY name"
    rows = store.rows(select, *(store.arn(one) for one in resources))
    return [profiles.profile(row) for row in rows]


def attached(store: Store) -> list[Profile]:
    """Every profile that is about anything."""
    rows = store.rows(f"{_ATTACHED} WHERE profile = p.name)")
    return [profiles.profile(row) for row in rows]


def _checked(store: Store, arn: str) -> str:
    """The ARN of a target.

    Raises:
        AwsError: it is none of this account and region, or the group is not there.

    """
    prefix = store.arn("")
    resource = arn.removeprefix(prefix)
    if not arn.startswith(prefix) or not (resource in _ALL or resource.startswith("thinggroup/")):
        raise invalid(f"{arn} is not a target of this account and region")
    if resource not in _ALL:
        thing_groups.known(store, resource.removeprefix("thinggroup/"))
    return arn
