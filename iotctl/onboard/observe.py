"""Read-only: what AWS holds of a fleet. What its rows share, and, thing by thing, what onboarding would meet."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from iotctl import bundle, made, templates
from iotctl.errors import Conflict, Error, NotFound
from iotctl.onboard import declared
from iotctl.onboard.plan import ADOPTED, CLAIM, Place, Ways
from iotctl.onboard.resources import RUN_TAG, Missing
from iotctl.onboard.row import CORE_POLICY
from iotctl.plan import Ref, Step
from iotctl.semantics import policy as policy_semantics
from iotctl.semantics import policy_lint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from iotctl.aws import Aws
    from iotctl.onboard.fleet import Fleet
    from iotctl.target import Platform
    from iotctl.world import World

POLICY_PREFIX: Final = "iotctl-"


@dataclass(frozen=True, slots=True)
class Finding:
    """What onboarding would meet for one thing.

    Attributes:
        action: create, same, adopt (it exists without a claim) or conflict.
        why: the reason, for a person.

    """

    thing_name: str
    line: int
    action: str
    why: str


def policy_name(given: str) -> str:
    """The name in the account of what `--policy` or a policy cell says: a template that ships, a file, or a policy."""
    if given in templates.names("policies"):
        return f"{POLICY_PREFIX}{given}"
    if _is_file(given):
        return Path(given).name.removesuffix(".j2").removesuffix(".json")
    return given


def shared(aws: Aws, fleet: Fleet, policies: Iterable[str]) -> Missing:
    """What the rows share and the account does not have.

    Args:
        aws: the account.
        fleet: the rows.
        policies: what `--policy` and the policy cells may say besides the names of policies: templates, files.

    Raises:
        Conflict: something exists, and is not as declared: a policy has another document than the template or file, a
            thing group is elsewhere or dynamic, a thing type is deprecated.
        NotFound: a row names a policy that does not exist, and is neither template nor file.
        BadInput: rows name two groups of one hierarchy.

    """
    documents = dict(_documents(aws, fleet, policies))
    warnings = [warning for name, document in documents.items() for warning in _flaws(name, document)]
    types = {name: _ask(aws, "iot:DescribeThingType", thingTypeName=name) for name in sorted(fleet.thing_types)}
    wanted = fleet.hierarchy.downwards({*fleet.thing_groups, *fleet.hierarchy.groups()})
    groups = {name: _ask(aws, "iot:DescribeThingGroup", thingGroupName=name) for name in wanted}
    declared.refuse_others(str(aws.target), fleet, types, groups)
    declared.refuse_two_of_a_hierarchy(fleet, groups)
    return Missing(
        thing_types=[name for name, found in types.items() if not found],
        thing_groups=[name for name, found in groups.items() if not found],
        parents={name: fleet.hierarchy.parent(name) for name, found in groups.items() if not found},
        billing_groups=[
            name
            for name in sorted(fleet.billing_groups)
            if not _ask(aws, "iot:DescribeBillingGroup", billingGroupName=name)
        ],
        policies=documents,
        warnings=warnings,
    )


def carried(aws: Aws, fleet: Fleet, missing: Missing, run_id: str) -> Missing:
    """The same, with the policies of the rows on their thing groups where nobody else's rights change by that.

    A group carries the policy of all the rows that name it where it has that policy already, or is this run's own (the
    run makes it, or has made it: its tag says so). The policy of a core is never one: AWS does not honour it there.
    """
    carriers, attachments = {}, []
    for group, policies in fleet.policies_of_groups().items():
        if len(policies) > 1 or policies[0] == policy_name(CORE_POLICY):
            continue
        new = group in missing.thing_groups
        attached = not new and policies[0] in _attached(aws, group)
        if new or attached or _is_of_run(aws, group, run_id):
            carriers[group] = policies[0]
            attachments += [] if attached else [(group, policies[0])]
    return replace(missing, carriers=carriers, attachments=attachments)


def _attached(aws: Aws, group: str) -> list[str]:
    pages = aws.pages("iot:ListAttachedPolicies", target=aws.target.arn(f"thinggroup/{group}"))
    return [policy["policyName"] for page in pages for policy in page.get("policies", [])]


def _is_of_run(aws: Aws, group: str, run_id: str) -> bool:
    pages = aws.pages("iot:ListTagsForResource", resourceArn=aws.target.arn(f"thinggroup/{group}"))
    return any(tag == {"Key": RUN_TAG, "Value": run_id} for page in pages for tag in page.get("tags", []))


def _flaws(name: str, document: str) -> Iterator[str]:
    """What Device Defender's audit would find wrong with a policy that is about to be made."""
    try:
        parsed = policy_semantics.parse(document)
    except policy_semantics.PolicyError as error:
        yield f"the policy {name} is not one that AWS takes: {error}"
        return
    for flaw in policy_lint.lint(parsed):
        yield f"the policy {name}: {flaw.message} ({flaw.check})"


def place(aws: Aws, directory: Path, platform: Platform | None) -> Place:
    """Where the things are registered: the account, and the endpoint that their bundles name."""
    endpoint = aws.call("iot:DescribeEndpoint", endpointType="iot:Data-ATS")["endpointAddress"]
    target = aws.target
    config = {**target.to_json(), "endpoint": endpoint, "mqttPort": 8883, "httpsPort": 8443}
    root_ca = bundle.amazon_root_ca()
    if platform is not None:
        config |= {"mqttPort": platform.mqtt_port, "httpsPort": platform.https_port}
        root_ca = Path(platform.ca_file).read_text("ascii")
    return Place(target, str(directory.absolute()), config, root_ca)


def arrived(world: World, rows: Iterable[Mapping[str, Any]], directory: Path) -> Iterator[dict[str, Any]]:
    """Which things that register themselves are there: `registered`, or `waiting` for their device.

    Yields:
        The row (thingName, certificateId, line) with its state, as they come; `conflict` where the thing of that name
        is another's, `failed` where it could not be asked.

    """
    from iotctl import engine

    step = Step("iot:DescribeThing", {"thingName": Ref("row.thingName")})
    for row, answer in engine.answers(step, rows, world):
        if isinstance(answer, NotFound):
            state = "waiting"
        elif isinstance(answer, Error):
            state = "failed"
        else:
            # A certificate may have been replaced since; the bundles know of it.
            ours = {row["certificateId"], _certificate_id(directory, row["thingName"])} - {""}
            state = "registered" if answer.get("attributes", {}).get(CLAIM) in ours else "conflict"
        yield {**row, "state": state}


def things(world: World, fleet: Fleet, directory: Path, ways: Ways) -> Iterator[Finding]:
    """What onboarding would meet, thing by thing: one read for each, as they come."""
    from iotctl import engine

    step = Step("iot:DescribeThing", {"thingName": Ref("row.thingName")})
    for row, answer in engine.answers(step, fleet, world):
        if isinstance(answer, Error) and not isinstance(answer, NotFound):
            raise answer
        yield _judge(row, {} if isinstance(answer, Error) else answer, directory, ways)


def _judge(row: Mapping[str, Any], thing: Mapping[str, Any], directory: Path, ways: Ways) -> Finding:
    def finding(action: str, why: str) -> Finding:
        return Finding(row["thingName"], row["line"], action, why)

    ours = _certificate_id(directory, row["thingName"])
    if not thing:
        return finding("create", "it does not exist" + ("; its bundle is on disk" if ours else ""))
    attributes = thing.get("attributes", {})
    claim = attributes.get(CLAIM)
    if ways.claim and not claim and not ways.adopt:
        return finding("conflict", "it exists, and iotctl did not make it; --adopt takes it over")
    if ways.claim and claim and claim.removeprefix(ADOPTED) != ours:
        if claim.removeprefix(ADOPTED) in _coming(directory, row["thingName"]):
            return finding("conflict", "its certificate is being replaced: run the same certs rotate again first")
        return finding("conflict", f"it exists with another certificate ({claim[:12]}…) than this directory has")
    if row["thingType"] and thing.get("thingTypeName") != row["thingType"]:
        return finding("conflict", f"its thing type is {thing.get('thingTypeName') or 'none'}, not {row['thingType']}")
    different = [name for name, value in row["attributes"].items() if attributes.get(name) != value]
    if ways.claim and not claim:
        become = "".join(f"; {name} becomes {row['attributes'][name]}" for name in different)
        return finding("adopt", f"it exists, and nobody has claimed it{become}")
    for name in different:
        value = row["attributes"][name]
        return finding("conflict", f"its attribute {name} is {attributes.get(name) or 'absent'}, not {value}")
    return finding("same", "it is there, with the certificate of its bundle")


def _coming(directory: Path, thing_name: str) -> set[str]:
    """The ids of the certificates that a rotation under way has signed for a thing."""
    told = [made.config(place) for place in made.rotating(directory, thing_name)]
    return {str(config["certificateId"]) for config in told if config}


def _certificate_id(directory: Path, thing_name: str) -> str:
    """The id that the thing's bundle holds; empty where there is none to read. `apply` is who checks it whole."""
    try:
        place = bundle.newest(directory / "devices" / bundle.directory_name(thing_name))
        config = json.loads((place / bundle.CONFIG).read_bytes())
        return str(config["certificateId"]) if config["thingName"] == thing_name else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _documents(aws: Aws, fleet: Fleet, given: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The policies that the rows need and the account lacks, as (name, document)."""
    target = aws.target
    values = {"partition": target.partition, "region": target.region, "account": target.account_id}
    sources = {policy_name(source): source for source in (*templates.names("policies"), *given)}
    for name in sorted(fleet.policies):
        source = sources.get(name, name)
        found = _ask(aws, "iot:GetPolicy", policyName=name)
        if _is_file(source):
            document = templates.render_file(Path(source), **values)
        elif source in templates.names("policies"):
            document = templates.render_json("policies", source, **values)
        elif found:
            continue
        else:
            known = ", ".join(templates.names("policies"))
            raise NotFound(f"there is no policy {name!r} in {target}", hint=f"create it, or use a template: {known}")
        if not found:
            yield name, json.dumps(document)
        elif json.loads(found["policyDocument"]) != document:
            raise Conflict(
                f"the policy {name} exists in {target} with another document than {source} renders to",
                hint=f"compare: aws iot get-policy --policy-name {name}; then rename one, or name the policy itself",
            )


def _ask(aws: Aws, op: str, **params: Any) -> dict[str, Any]:  # noqa: ANN401  AWS's own shapes
    """What is there, or nothing."""
    try:
        return aws.call(op, **params)
    except NotFound:
        return {}


def _is_file(given: str) -> bool:
    return given.endswith((".json", ".json.j2"))
