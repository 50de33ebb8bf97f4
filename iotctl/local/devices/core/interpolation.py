"""Recipe variables: `{artifacts:path}`, `{configuration:/a/b}`, `{OTHER:configuration:/a}`, ... Pure.

What a variable stands for is not looked through again. One that means nothing is left as it stands, as the nucleus
leaves it. Source: the developer guide's component-recipe-reference page ("Recipe variables").
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.devices.core import configuration
from iotctl.local.devices.core.faults import Failed

if TYPE_CHECKING:
    from collections.abc import Mapping

_VARIABLE: Final = re.compile(r"\{(?:([.\w-]+):)?([.\w-]+):([^:{}]*)\}")


@dataclass(frozen=True, slots=True)
class Scope:
    """What a component's variables stand for.

    Attributes:
        system: by namespace and key: `{"artifacts": {"path": …, "decompressedPath": …}, "work": {"path": …}, …}`.
        configuration: of the component.

    """

    system: Mapping[str, Mapping[str, str]]
    configuration: Mapping[str, Any] = field(default_factory=dict)

    def value(self, namespace: str, key: str) -> str | None:
        """What a variable stands for; None: nothing."""
        if namespace != "configuration":
            return self.system.get(namespace, {}).get(key)
        try:
            found = configuration.at(dict(self.configuration), key)
        except (KeyError, Failed):
            return None
        return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False, separators=(",", ":"))


def interpolated(value: Any, own: Scope, others: Mapping[str, Scope]) -> Any:  # noqa: ANN401  any JSON value
    """A lifecycle with its variables replaced.

    Args:
        value: of it: texts in objects and lists.
        own: of the component itself.
        others: of the components that it depends on directly, by name.

    """
    if isinstance(value, dict):
        return {key: interpolated(one, own, others) for key, one in value.items()}
    if isinstance(value, list):
        return [interpolated(one, own, others) for one in value]
    return _VARIABLE.sub(lambda found: _replaced(found, own, others), value) if isinstance(value, str) else value


def _replaced(found: re.Match[str], own: Scope, others: Mapping[str, Scope]) -> str:
    other, namespace, key = found.groups()
    scope = others.get(other) if other else own
    value = scope.value(namespace, key) if scope else None
    return found[0] if value is None else value
