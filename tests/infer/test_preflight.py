"""What cores may do is looked at before anything is sent to them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from iotctl import pki
from iotctl.aws import Aws
from iotctl.infer import preflight
from tests.local.clients import allow, create_policy, register
from tests.local.conftest import client

if TYPE_CHECKING:
    from pathlib import Path

    from iotctl.target import Platform


def test_what_a_core_s_own_policies_refuse_is_told_with_what_would_allow_it(platform: Platform, tmp_path: Path) -> None:
    """A component acts by its core's connection; of two certificates one that may is enough."""
    iot, signer, aws = client(platform), pki.Authority.create("CA"), Aws(platform=platform)
    own = "topic/alarms/${iot:Connection.Thing.ThingName}"
    policy = create_policy(iot, allow("iot:Publish", resource=aws.target.arn(own)))
    core = register(iot, signer, tmp_path, "preflight-core", policy)
    topics = ["alarms/{iot:thingName}", "$aws/things/press-4/shadow/update"]

    found = list(preflight.core_policies(aws, [core.name], topics, ["in/#"]))
    statements = [json.loads(words[words.index("{") :]) for words in found]
    assert [
        ("iot:Publish", aws.target.arn("topic/$aws/things/press-4/shadow/update")),
        ("iot:Subscribe", aws.target.arn("topicfilter/in/#")),
    ] == [(one["Action"], one["Resource"]) for one in statements]

    iot.attach_policy(policyName=create_policy(iot, *statements), target=core.arn)
    assert [] == list(preflight.core_policies(aws, [core.name], topics, ["in/#"]))
    (unknown,) = preflight.core_policies(aws, ["nobody-there"], topics, [])
    assert "could not be checked" in unknown
