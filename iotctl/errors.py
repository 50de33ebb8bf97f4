"""What can go wrong, and its exit code.

Error
├── Usage         2  the words typed or the file given are wrong; nothing was changed
├── Differs       4  drift, findings, a difference that was asked about
├── Temporary     5  network, throttling, a service that is down: run it again
├── Conflict      6  it exists already and is not what was declared
├── Auth          7  credentials, permission, TLS trust, clock
├── NotFound      8
├── Integrity     9  a hash, a signature, an identity is not what it must be
├── RolloutFailed 10  devices refused it, or a canary did
├── Locked       11  another run holds the directory
├── Local        12  disk, permission, port, a missing extra
├── Timeout      13  the wait ended, the work goes on
└── Interrupted 130  Ctrl-C (143: SIGTERM); what was done is recorded
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """The exit codes of every command; an unknown code that is not zero is a failure."""

    OK = 0
    BUG = 1
    USAGE = 2
    PARTIAL = 3
    DIFFERS = 4
    TEMPORARY = 5
    CONFLICT = 6
    AUTH = 7
    NOT_FOUND = 8
    INTEGRITY = 9
    ROLLOUT_FAILED = 10
    LOCKED = 11
    LOCAL = 12
    TIMEOUT = 13
    INTERRUPTED = 130
    PIPE_CLOSED = 141
    TERMINATED = 143

    @property
    def meaning(self) -> str:
        """The code in a user's words, as every help text prints it."""
        return _MEANINGS[self]


_MEANINGS = {
    Exit.OK: "done, or nothing to do",
    Exit.BUG: "a bug in iotctl",
    Exit.USAGE: "wrong words or wrong input; nothing was changed",
    Exit.PARTIAL: "partial or incomplete; run it again, it resumes",
    Exit.DIFFERS: "it differs (drift, findings, a diff)",
    Exit.TEMPORARY: "temporary (network, throttling); run it again",
    Exit.CONFLICT: "conflict: it exists and is not what was declared",
    Exit.AUTH: "credentials, permission, TLS or clock",
    Exit.NOT_FOUND: "not found",
    Exit.INTEGRITY: "integrity: a hash, a signature, an unsafe model",
    Exit.ROLLOUT_FAILED: "the rollout failed",
    Exit.LOCKED: "another run holds the lock",
    Exit.LOCAL: "this machine: disk, permission, port, missing extra",
    Exit.TIMEOUT: "the wait timed out; the work goes on",
    Exit.INTERRUPTED: "interrupted; it resumes",
    Exit.PIPE_CLOSED: "the reader of the output went away",
    Exit.TERMINATED: "terminated; it resumes",
}

# Where several codes apply to one command, the first of these wins.
_PRECEDENCE = (
    Exit.INTERRUPTED,
    Exit.TERMINATED,
    Exit.BUG,
    Exit.INTEGRITY,
    Exit.AUTH,
    Exit.LOCAL,
    Exit.CONFLICT,
    Exit.PARTIAL,
    Exit.DIFFERS,
)


def worst(*codes: Exit) -> Exit:
    """The code that a command ends with where several apply."""
    ranked = {code: rank for rank, code in enumerate(_PRECEDENCE)}
    failures = [code for code in codes if code is not Exit.OK]
    return min(failures, key=lambda code: ranked.get(code, len(ranked)), default=Exit.OK)


class Error(Exception):
    """What happened to what, why, and what to type next.

    Attributes:
        message: what happened, to what.
        code: one stable word for scripts (an AWS error code where there is one).
        cause: the reason in the other side's words, with its request id; may be empty.
        hint: the next command or step; may be empty.
        on: the thing, file or line that it concerns; may be empty.

    """

    exit = Exit.BUG
    word = "Internal"

    def __init__(self, message: str, *, code: str = "", cause: str = "", hint: str = "", on: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.word
        self.cause = cause
        self.hint = hint
        self.on = on


class Usage(Error):
    """The words typed or the file given are wrong; nothing was changed."""

    exit = Exit.USAGE
    word = "Usage"


class BadInput(Usage):
    """An input with bad lines, all of them named at once.

    Attributes:
        lines: one Error per bad line, in the order of the file.

    """

    word = "BadInput"

    def __init__(self, message: str, lines: tuple[Error, ...], *, hint: str = "", on: str = "") -> None:
        super().__init__(message, hint=hint, on=on)
        self.lines = lines


class Differs(Error):
    """What was asked about is not as declared."""

    exit = Exit.DIFFERS
    word = "Differs"


class Temporary(Error):
    """The network, a throttle or a service that is down: the same command may work later."""

    exit = Exit.TEMPORARY
    word = "Temporary"


class Throttled(Temporary):
    """AWS asked to slow down; nothing was done, and trying again is free."""

    word = "ThrottlingException"


class Conflict(Error):
    """It exists already and is not what was declared."""

    exit = Exit.CONFLICT
    word = "Conflict"


class Exists(Conflict):
    """A create found its name taken; whether that is success depends on what is there."""

    word = "ResourceAlreadyExistsException"


class Auth(Error):
    """Credentials, permission, TLS trust or clock."""

    exit = Exit.AUTH
    word = "Auth"


class Denied(Auth):
    """The credentials are good, and do not allow this one operation."""

    word = "AccessDenied"


class NotFound(Error):
    """It is not there."""

    exit = Exit.NOT_FOUND
    word = "NotFound"


class Refused(Error):
    """AWS refused this one request: its parameters, a hard limit, a state."""

    exit = Exit.USAGE
    word = "InvalidRequestException"


class NoIndex(Refused):
    """The fleet index is off, is being built, or does not hold what was asked for."""

    word = "IndexNotReadyException"


class Unsupported(Refused):
    """The service does not have this operation."""

    word = "NotImplementedException"


class Integrity(Error):
    """A hash, a signature or an identity is not what it must be."""

    exit = Exit.INTEGRITY
    word = "Integrity"


class RolloutFailed(Error):
    """A rollout ended badly: devices failed, or a canary said no."""

    exit = Exit.ROLLOUT_FAILED
    word = "RolloutFailed"


class Locked(Error):
    """Another run holds the directory."""

    exit = Exit.LOCKED
    word = "Locked"


class Local(Error):
    """This machine: disk, permission, port, a missing extra, no platform running."""

    exit = Exit.LOCAL
    word = "Local"


class Timeout(Error):
    """The wait ended, the work goes on."""

    exit = Exit.TIMEOUT
    word = "Timeout"


class Unanswered(Timeout):
    """One device did not do what was waited for; many of them say nothing about the next."""

    word = "Unanswered"


class Interrupted(Error):
    """Ctrl-C or SIGTERM; what was done is recorded and the same command resumes."""

    exit = Exit.INTERRUPTED
    word = "Interrupted"

    def __init__(self, message: str, *, signal: int = 2, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.exit = Exit(128 + signal)
