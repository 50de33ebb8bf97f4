"""AWS IoT Device Defender: audits of what is registered, and what follows from their findings.

    configuration   which checks are enabled, and how they are set
    tasks           audits: started on demand, listed, described, canceled
    scheduled       audits by a schedule
    fleet           what an audit looks at, read from the store
    history         how devices connected: takeovers of client ids, certificates in several connections
    running         what is due of an audit is done: one check at a time
    findings        what audits found
    suppressions    findings that are not to count
    actions         mitigation actions
    mitigation      mitigation actions applied to findings
    mitigating      what is due of that is done: one finding at a time
    detect/         what devices do, and how they should behave
    due             when something is due, and doing it

The checks themselves are semantics.checks, which the tool has too. Sources: AWS IoT developer guide, the Device
Defender pages; API reference.
"""

from __future__ import annotations

from typing import Final

from iotctl.local.services.defender import (
    actions,
    configuration,
    detect,
    findings,
    fleet,
    history,
    mitigation,
    scheduled,
    suppressions,
    tasks,
)

SERVICES: Final = (
    configuration,
    tasks,
    scheduled,
    fleet,
    history,
    findings,
    suppressions,
    actions,
    mitigation,
    *detect.SERVICES,
)
"""The modules that register operations, or keep tables."""
