"""What botocore reads and works out for each new session alike, done once in a process of tests."""

from __future__ import annotations

from typing import Any

from iotctl.aws import models


def share() -> None:
    """Give all sessions, made from now on, one cache: of service models, and of the names of events.

    A test that runs a dozen commands in its process reads AWS's models once, not a dozen times: half of its time.
    """
    _share(models.module("botocore.loaders").Loader, "_cache")
    _share(models.module("botocore.hooks").EventAliaser, "_alias_name_cache")


def _share(kind: Any, cache: str) -> None:
    """Give all objects of a class, made from now on, one cache."""
    known: dict[Any, Any] = {}
    begin = kind.__init__

    def init(self: Any, *args: Any, **options: Any) -> None:
        begin(self, *args, **options)
        setattr(self, cache, known)

    kind.__init__ = init
