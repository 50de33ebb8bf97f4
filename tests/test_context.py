"""What a command needs from the world, each part made when it is first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from iotctl.context import Context
from iotctl.errors import Auth, Local, Usage

if TYPE_CHECKING:
    from iotctl.target import Platform


def test_nothing_is_looked_up_before_it_is_needed() -> None:
    """A command without AWS needs no credentials, no home, no platform."""
    context = Context(local=True, profile="nobody")
    assert (False, "") == (context.dry_run, context.words)


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"{}"])
def test_a_platform_that_does_not_run(content: bytes | None) -> None:
    """No state file, or one that cannot be read: what to type next."""
    context = Context(local=True)
    if content is not None:
        context.platform_directory.mkdir(parents=True)
        (context.platform_directory / "platform.json").write_bytes(content)
    with pytest.raises(Local) as caught:
        _ = context.aws
    assert ("iotctl local up --detach" if content is None else "iotctl local reset") == caught.value.hint


def test_words_that_contradict_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile is of AWS; a target is one of two."""
    with pytest.raises(Usage, match="--profile names an AWS account"):
        _ = Context(local=True, profile="p").aws
    monkeypatch.setenv("IOTCTL_TARGET", "prod")
    with pytest.raises(Usage, match="IOTCTL_TARGET is 'prod'"):
        Context()


def test_the_platform_is_a_target_like_any_other(platform: Platform) -> None:
    """Found by its state file, checked against the account that is expected; nothing is paced there."""
    context = Context(expect_account=platform.account_id)
    assert {"kind": "local", "accountId": platform.account_id, "region": platform.region} == context.target.to_json()
    assert ({}, {}, {}) == (context.quotas, context.world().rates, context.world().starts)
    with pytest.raises(Auth, match="--expect-account says 999999999999") as caught:
        _ = Context(expect_account="999999999999").aws
    assert "WrongAccount" == caught.value.code


def test_the_environment_of_any_sdk_means_the_platform_too(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """`local env` is enough: endpoint and key say what the target is."""
    monkeypatch.delenv("IOTCTL_TARGET")
    target = Context().target
    assert ("local", platform.account_id) == (target.kind, target.account_id)
