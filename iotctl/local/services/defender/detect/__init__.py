"""Device Defender Detect: what devices do, measured, and compared with how they should behave.

    custom_metrics, dimensions   what else can be measured, and of which topics
    profiles        security profiles: behaviors, and the metrics to keep
    targets         whom a profile is about
    values          what was measured, kept for two weeks
    reporting       what devices report over MQTT
    periods         what the broker counted in five minutes
    mitigation      what is done about alarms
    violations      behaviors that devices do not show: raised, cleared, listed

Static thresholds only: a profile with a statistical threshold or a machine-learned one is refused as not built.
"""

from __future__ import annotations

from typing import Final

from iotctl.local.services.defender.detect import (
    custom_metrics,
    dimensions,
    mitigation,
    periods,
    profiles,
    reporting,
    targets,
    values,
    violations,
)

SERVICES: Final = (custom_metrics, dimensions, mitigation, periods, profiles, reporting, targets, values, violations)
"""The modules that register operations or listeners, or keep tables."""
