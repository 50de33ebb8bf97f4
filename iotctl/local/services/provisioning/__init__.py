"""Provisioning: templates, and everything that is registered by them.

    templates     provisioning templates and their versions
    registering   what a template wants is registered: RegisterThing, and the way of all the others

Sources: AWS IoT developer guide, iot-provision and the pages below it; the service model's words.
"""

from __future__ import annotations

from typing import Final

from iotctl.local.services.provisioning import registering, templates

SERVICES: Final = (registering, templates)
"""The modules that register operations and listeners, or keep tables."""
