"""A store whose index is on, and a platform of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from iotctl.local import process
from iotctl.local.services import OPERATIONS
from iotctl.local.services.index import configuration, entries
from iotctl.local.state import Ports, State
from tests.local.clients import until
from tests.local.conftest import client

if TYPE_CHECKING:
    from iotctl.local.store import Store
    from iotctl.target import Platform

EVERYTHING = {
    "thingIndexingMode": "REGISTRY_AND_SHADOW",
    "thingConnectivityIndexingMode": "STATUS",
    "namedShadowIndexingMode": "ON",
    "filter": {"namedShadowNames": ["config"]},
    "customFields": [
        {"name": "attributes.rate", "type": "Number"},
        {"name": "attributes.site", "type": "String"},
        {"name": "shadow.reported.on", "type": "Boolean"},
    ],
}

Call = Callable[..., dict[str, Any]]


@pytest.fixture
def call(store: Store) -> Call:
    """Call an operation on a store of one's own: `call("iot:CreateThing", thingName="press-1")`."""
    return lambda name, **parameters: OPERATIONS[name](store, **parameters)


@pytest.fixture
def indexed(store: Store, call: Call) -> Callable[..., None]:
    """Switch the index on, and enter everything that there is: what the platform does a moment after each change."""

    def enter(things: dict[str, Any] | None = None) -> None:
        if things is not None:
            call("iot:UpdateIndexingConfiguration", thingIndexingConfiguration=things)
        with store.transaction():
            for name in entries.everything(store):
                entries.enter(store, configuration.configured(store), name)
            configuration.built(store)

    enter(EVERYTHING)
    return enter


@pytest.fixture(scope="module")
def index_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[State, Platform]]:
    """A platform whose index these tests may switch on and off."""
    state = State(tmp_path_factory.mktemp("index") / "local")
    state.directory.mkdir(parents=True, mode=0o700)
    yield state, process.background(state, Ports(0, 0, 0), None)
    process.stop(state)


@pytest.fixture
def index_iot(index_platform: tuple[State, Platform]) -> Any:
    """A boto3 client of it, the index on and built."""
    iot = client(index_platform[1])
    iot.update_indexing_configuration(thingIndexingConfiguration=EVERYTHING)
    until(lambda: iot.describe_index(indexName="AWS_Things")["indexStatus"] == "ACTIVE")
    return iot
