"""Read-only: what AWS holds of a fleet. The account here is a table of answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from iotctl import bundle, pki, templates
from iotctl.errors import BadInput, Conflict, NotFound
from iotctl.onboard import fleet, observe, row
from iotctl.onboard.plan import Ways
from iotctl.target import Platform, Target
from iotctl.world import World

_VALUES = {"partition": "aws", "region": "us-east-1", "account": "123456789012"}


class _Account:
    """Answers by operation and name; what is not in the table is not there."""

    target = Target("aws", "123456789012", "us-east-1")

    def __init__(self, **things: Any) -> None:
        self._things = things
        self.calls: list[str] = []

    def call(self, op: str, *, once: bool = False, **params: Any) -> dict[str, Any]:
        self.calls.append(op)
        if op == "iot:DescribeEndpoint":
            return {"endpointAddress": "x-ats.iot"}
        (name,) = params.values()
        try:
            return dict(self._things[name.replace("-", "_")])
        except KeyError:
            raise NotFound(f"{op}: not found") from None


def _fleet(directory: Path, content: str, policy: str = "thing") -> fleet.Fleet:
    path = directory / "fleet.csv"
    path.write_text(content)
    return fleet.read(str(path), row.Reading(policy, observe.policy_name, pki.check_csr))


def test_what_is_missing_is_made_and_what_is_there_is_not(tmp_path: Path) -> None:
    """One read for each shared name, none for the rows."""
    rows = _fleet(tmp_path, "thing_name,thing_type,thing_groups,billing_group\na,t1,g1;g2,b1\nb,t2,g1,b2\nc,,,\n")
    account = _Account(t1={"thingTypeName": "t1"}, g2={"thingGroupName": "g2"}, b2={"billingGroupName": "b2"})
    missing = observe.shared(account, rows, ["thing"])  # type: ignore[arg-type]
    assert (["t2"], ["g1"], ["b1"], ["iotctl-thing"]) == (
        missing.thing_types,
        missing.thing_groups,
        missing.billing_groups,
        list(missing.policies),
    )
    assert templates.render_json("policies", "thing", **_VALUES) == json.loads(missing.policies["iotctl-thing"])
    assert "iot:DescribeThing" not in account.calls


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("thing", "iotctl-thing"),
        ("greengrass-core", "iotctl-greengrass-core"),
        ("Existing", "Existing"),
        ("policies/mine.json", "mine"),
        ("mine.json.j2", "mine"),
    ],
)
def test_the_name_of_a_policy(given: str, name: str) -> None:
    """A template that ships gets our prefix, a file its own name, anything else is a policy that exists."""
    assert name == observe.policy_name(given)


@pytest.mark.parametrize("spaces", [None, 4])
def test_a_policy_that_is_there_must_be_the_same(tmp_path: Path, spaces: int | None) -> None:
    """Compared as JSON: white space does not matter; another document ends the command before any row."""
    document = templates.render_json("policies", "thing", **_VALUES)
    rows = _fleet(tmp_path, "thing_name\na\n")
    account = _Account(iotctl_thing={"policyDocument": json.dumps(document, indent=spaces)})
    assert {} == observe.shared(account, rows, ["thing"]).policies  # type: ignore[arg-type]
    document["Statement"] = document["Statement"][:1]
    other = _Account(iotctl_thing={"policyDocument": json.dumps(document)})
    with pytest.raises(Conflict, match="iotctl-thing exists"):
        observe.shared(other, rows, ["thing"])  # type: ignore[arg-type]


def test_a_policy_of_a_file_or_of_the_account(tmp_path: Path) -> None:
    """A file is rendered, a name must exist; what is neither is told with the templates that ship."""
    file = tmp_path / "mine.json"
    file.write_text('{"Statement": "{{ account }}"}')
    rows = _fleet(tmp_path, "thing_name\na\n", str(file))
    account: Any = _Account(theirs={"policyDocument": "{}"})
    assert {"mine": '{"Statement": "123456789012"}'} == observe.shared(account, rows, [str(file)]).policies
    assert {} == observe.shared(account, _fleet(tmp_path, "thing_name\na\n", "theirs"), ["theirs"]).policies
    with pytest.raises(NotFound, match="no policy 'nobody'") as caught:
        observe.shared(account, _fleet(tmp_path, "thing_name,policy\na,nobody\n"), ["thing"])
    assert "create it, or use a template: greengrass-core, thing" == caught.value.hint


def test_two_groups_of_one_hierarchy_are_refused_by_line(tmp_path: Path) -> None:
    """A thing may be in one group of a hierarchy only: every such line is told before anything is made."""
    rows = _fleet(tmp_path, "thing_name,thing_groups\na,g1;g2\nb,g1;other\nc,root;g2;new\n")
    below = {"thingGroupMetadata": {"rootToParentThingGroups": [{"groupName": "root"}]}}
    account: Any = _Account(g1=below, g2=below, root={"thingGroupName": "root"}, other={"thingGroupName": "other"})
    with pytest.raises(BadInput) as caught:
        observe.shared(account, rows, ["thing"])
    assert ["g1 and g2", "g2 and root"] == [
        line.message.split("the thing groups ")[1].split(" are in")[0] for line in caught.value.lines
    ]
    assert [f"{rows.source}:2", f"{rows.source}:4"] == [line.on for line in caught.value.lines]


def test_a_place_names_the_endpoint_and_its_ca(tmp_path: Path) -> None:
    """AWS's own, with Amazon's root; or the local platform's ports and CA."""
    account: Any = _Account()
    there = observe.place(account, tmp_path, None)
    assert ("x-ats.iot", 8883, 8443) == tuple(there.config[key] for key in ("endpoint", "mqttPort", "httpsPort"))
    assert bundle.amazon_root_ca() == there.root_ca
    (tmp_path / "ca.pem").write_text("LOCAL CA")
    platform = Platform("http://127.0.0.1:1", 1, 2, str(tmp_path / "ca.pem"), "1", "r", 0, "k", "s")
    here = observe.place(account, tmp_path, platform)
    assert ("LOCAL CA", 1, 2) == (here.root_ca, here.config["mqttPort"], here.config["httpsPort"])


def test_what_onboarding_would_meet_thing_by_thing(tmp_path: Path) -> None:
    """Create, same or conflict, and why; in the order of the file."""
    publisher = bundle.Publisher()
    names = ["ours", "other_type", "other_value", "waiting"]
    params = {"csr": None, "keyType": "ec-p256", "days": 1, "rootCa": "", "certificateArn": ""}
    config = {"accountId": "1", "region": "r"}
    made: Any = publisher(
        [{**params, "directory": str(tmp_path), "thingName": name, "config": config} for name in names]
    )
    claims = {name: {"iotctl-cert": one["certificateId"]} for name, one in zip(names, made, strict=True)}
    account: Any = _Account(
        ours={"attributes": {**claims["ours"], "site": "oslo"}, "thingTypeName": "t"},
        foreign={"attributes": {}},
        claimed={"attributes": {"iotctl-cert": "f" * 64}},
        other_type={"attributes": claims["other_type"]},
        other_value={"attributes": {**claims["other_value"], "site": "rome"}, "thingTypeName": "t"},
    )
    csv = "thing_name,thing_type,attr:site\n" + "".join(
        f"{name},t,oslo\n" for name in ("new", "waiting", "ours", "foreign", "claimed", "other_type", "other_value")
    )
    world = World(call=account.call, members=lambda _: frozenset())
    rows = _fleet(tmp_path, csv)
    found = sorted(observe.things(world, rows, tmp_path, Ways()), key=lambda finding: finding.line)
    assert [
        ("new", 2, "create", "it does not exist"),
        ("waiting", 3, "create", "it does not exist; its bundle is on disk"),
        ("ours", 4, "same", "it is there, with the certificate of its bundle"),
        ("foreign", 5, "conflict", "it exists, and iotctl did not make it; --adopt takes it over"),
        ("claimed", 6, "conflict", "it exists with another certificate (ffffffffffff…) than this directory has"),
        ("other_type", 7, "conflict", "its thing type is none, not t"),
        ("other_value", 8, "conflict", "its attribute site is rome, not oslo"),
    ] == [(one.thing_name, one.line, one.action, one.why) for one in found]
    adopting = {one.thing_name: one.why for one in observe.things(world, rows, tmp_path, Ways(adopt=True))}
    assert "its thing type is none, not t" == adopting["foreign"]
    account._things["foreign"] = {"attributes": {"site": "rome"}, "thingTypeName": "t"}
    adopting = {
        one.thing_name: (one.action, one.why) for one in observe.things(world, rows, tmp_path, Ways(adopt=True))
    }
    assert ("adopt", "it exists, and nobody has claimed it; site becomes oslo") == adopting["foreign"]
    assert "conflict" == adopting["claimed"][0]
    coming = tmp_path / "rotating" / "claimed"
    coming.mkdir(parents=True)
    (coming / "config.json").write_text(json.dumps({"thingName": "claimed", "certificateId": "f" * 64}))
    under_way = {one.thing_name: one.why for one in observe.things(world, rows, tmp_path, Ways())}
    assert "its certificate is being replaced: run the same certs rotate again first" == under_way["claimed"]
