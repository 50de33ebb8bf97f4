"""When a run must end early: what fails alike again and again will not get better by going on."""

from __future__ import annotations

from typing import Final

from iotctl.errors import Auth, Conflict, Denied, Error, Interrupted, Local, Unanswered

EQUAL_FAILURES: Final = 20
DENIALS: Final = 3


class Breaker:
    """Ends a run that cannot succeed: bad credentials or a full disk at once, equal failures after a few."""

    def __init__(self) -> None:
        self._code = ""
        self._count = 0

    def watch(self, error: Error | None) -> None:
        """Count a settled thing.

        Raises:
            Error: the run must end.

        """
        if error is None or isinstance(error, Interrupted):
            self._count = 0
            return
        self._count = self._count + 1 if error.code == self._code else 1
        self._code = error.code
        if isinstance(error, Denied):
            if self._count >= DENIALS:
                raise error
        elif isinstance(error, Auth | Local):
            raise error
        elif self._count >= EQUAL_FAILURES and not isinstance(error, Conflict | Unanswered):
            raise type(error)(
                f"{self._count} things in a row failed alike; the last: {error.message}",
                code=error.code,
                cause=error.cause,
                hint=error.hint or "mend the cause, then run the same command again; it resumes",
            )
