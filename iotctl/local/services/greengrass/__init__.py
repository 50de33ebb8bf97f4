"""AWS IoT Greengrass V2: components, deployments, and the core devices that run them.

    names           ARNs, targets, and this service's own errors and pages
    tokens          client tokens: the same request again has the same answer
    components      component versions: created, described, listed, deleted
    artifacts       what a component's artifacts are: digests, presigned URLs
    candidates      ResolveComponentCandidates: which version a core gets
    documents       the deployment document that a core receives
    deployments     deployments: created, canceled, deleted
    records         what is kept of deployments
    outcomes        deployments described and listed: what became of them, on a core and as a whole
    health          what core devices report of themselves
    core_devices    core devices for operators, and their groups for themselves
    client_devices  client devices of a core, connectivity information, discovery
    account         the service role; tags

Sources: the service model's words; AWS IoT Greengrass V2 developer guide (component-recipe-reference,
manage-deployments, device-auth, troubleshooting); the nucleus' and nucleus lite's own sources for what cores send and
what they understand. As on AWS a core finds out itself whether the requirements of all its groups can be met.
"""

from __future__ import annotations

from typing import Final

from iotctl.local.services.greengrass import (
    account,
    candidates,
    client_devices,
    components,
    core_devices,
    deployments,
    health,
    outcomes,
    records,
    tokens,
)

SERVICES: Final = (
    account,
    candidates,
    client_devices,
    components,
    core_devices,
    deployments,
    health,
    outcomes,
    records,
    tokens,
)
"""The modules that register operations and listeners, or keep tables."""
