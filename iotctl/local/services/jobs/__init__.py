"""AWS IoT Jobs: the control plane, the data plane over HTTP and MQTT, and what happens when a time has come.

    tables          what is kept
    configuration   a job's configuration: read from a request, and checked
    document        the job document: from S3, and with presigned URLs for a device
    control         jobs: created, described, listed, updated, canceled, deleted
    templates       job templates of one's own
    managed         job templates of AWS's
    executions      an execution's life: queued, changed, retried, ended; what follows for its job
    notices         what devices and monitors hear of it
    things          the executions of things, for operators
    device          the executions of one thing, for the device itself, over HTTP and MQTT
    requests        what devices send over MQTT, read and checked
    membership      things that join and leave the groups of continuous jobs
    rolling         rollouts, schedules, timeouts and deletions, when they are due

Sources: AWS IoT developer guide, the jobs pages; API reference of both services.
"""

from __future__ import annotations

from typing import Final

from iotctl.local.services.jobs import control, device, managed, membership, rolling, tables, templates, things

SERVICES: Final = (control, device, managed, membership, rolling, tables, templates, things)
"""The modules that register operations and listeners, or keep tables."""
