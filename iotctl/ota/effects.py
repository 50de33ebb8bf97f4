"""The step of a rollout's plan that is no operation of AWS's: to agree on its record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotctl.ota import agreement

if TYPE_CHECKING:
    import contextlib
    import threading
    from collections.abc import Callable, Mapping, Sequence

    from iotctl.context import Context
    from iotctl.errors import Error

    Effect = Callable[[Sequence[Mapping[str, Any]]], list[dict[str, Any] | Error]]


def effects(
    context: Context,
    stop: threading.Event,  # noqa: ARG001  it takes no time
    say: Callable[[Sequence[str]], None],  # noqa: ARG001  there is nothing to say
    stack: contextlib.ExitStack,  # noqa: ARG001  nothing is opened
) -> dict[str, Effect]:
    """The effects of this capability's plans, by the names of their steps."""
    return {agreement.OPERATION: agreement.Agreement(context.aws)}
