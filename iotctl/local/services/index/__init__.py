"""The fleet index: things searched by what the registry, their shadows and their connections say of them.

Sources: AWS IoT developer guide, iot-indexing, managing-index, query-syntax, index-aggregate and dynamic-thing-groups.
"""

from iotctl.local.services.index import aggregates, configuration, dynamic_groups, entries, search

SERVICES = (aggregates, configuration, dynamic_groups, entries, search)
