"""What botocore reads and works out for each new session and client alike, done once in a process of tests."""

from __future__ import annotations

import functools
import os
from typing import Any

import boto3

from iotctl.aws import models


@functools.cache
def _client(service: str, url: str) -> Any:
    return boto3.client(service, endpoint_url=url)


def client(service: str) -> Any:
    """A boto3 client of the session's platform, made once: making one takes longer than what it is for."""
    return _client(service, os.environ["AWS_ENDPOINT_URL"])


def share() -> None:
    """Give all sessions, made from now on, one cache: of service models, names of events, and what handlers take.

    A test that runs a dozen commands in its process reads AWS's models once, not a dozen times: half of its time.
    """
    _share(models.module("botocore.loaders").Loader, "_cache")
    hooks = models.module("botocore.hooks")
    _share(hooks.EventAliaser, "_alias_name_cache")
    # A session and a client register some two hundred handlers, and each is examined by `inspect`.
    hooks.accepts_kwargs = functools.lru_cache(hooks.accepts_kwargs)


def _share(kind: Any, cache: str) -> None:
    """Give all objects of a class, made from now on, one cache."""
    known: dict[Any, Any] = {}
    begin = kind.__init__

    def init(self: Any, *args: Any, **options: Any) -> None:
        begin(self, *args, **options)
        setattr(self, cache, known)

    kind.__init__ = init
