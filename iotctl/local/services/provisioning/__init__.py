"""Provisioning: templates, and everything that is registered by them.

    templates     provisioning templates and their versions
    registering   what a template wants is registered: RegisterThing, and the way of all the others
    claims        provisioning claims of five minutes, and tokens that prove the ownership of a certificate for an hour
    device        fleet provisioning over MQTT, in JSON and CBOR
    just_in_time  certificates that register themselves, and devices that a template then provisions
    tasks         bulk registration, a line of a file in S3 at a time
    reports       what bulk registration reports, in S3
    due           what happens when a time has come

Sources: AWS IoT developer guide, iot-provision and the pages below it; the service model's words.
"""

from __future__ import annotations

from typing import Final

from iotctl.local.services.provisioning import claims, device, just_in_time, registering, reports, tasks, templates

SERVICES: Final = (claims, device, just_in_time, registering, reports, tasks, templates)
"""The modules that register operations and listeners, or keep tables."""
