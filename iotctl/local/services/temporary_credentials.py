"""Temporary credentials that devices get for a role alias, and what they are good for.

There is no IAM here, so no role says what they allow. They allow what `iotctl account template` grants the role of
cores, and nothing else: reading objects of S3, and putting those that a model sends back. They begin as the platform's
own access key does, and AWS knows neither.
Source: AWS IoT developer guide, authorizing-direct-aws.
"""

from __future__ import annotations

import hmac
import secrets
import string
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from iotctl import clock
from iotctl.local.services import AwsError, operation, role_aliases
from iotctl.target import LOCAL_KEY_PREFIX

if TYPE_CHECKING:
    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS temporary_credential (
    key_id TEXT PRIMARY KEY, secret TEXT NOT NULL, token TEXT NOT NULL, role TEXT NOT NULL, principal TEXT NOT NULL,
    expires REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS temporary_credential_by_end ON temporary_credential (expires)
"""

SAMPLES: Final = "feedback/"
"""The keys that may be put begin with it."""

_READING: Final = frozenset({"s3:GetObject", "s3:HeadObject", "s3:GetBucketLocation"})

_KEPT_SECONDS: Final = 3600  # after their end, so that who uses them is told that they have expired
_WORD: Final = string.ascii_uppercase + string.digits
_KEY_LENGTH: Final = 20


@dataclass(frozen=True, slots=True)
class Credentials:
    """Temporary credentials; their secret and token are in no repr."""

    key_id: str
    secret: str
    token: str
    expires: float

    def __repr__(self) -> str:
        return f"Credentials({self.key_id!r})"


@operation("iot-credentials:AssumeRoleWithCertificate")
def assume_role_with_certificate(store: Store, roleAlias: str, principal: str) -> dict[str, Any]:
    """New credentials for a role alias; `principal` is the certificate's id.

    Raises:
        AwsError: ResourceNotFoundException: there is no such alias.

    """
    alias = role_aliases.known(store, roleAlias)
    now = store.now()
    made = Credentials(
        LOCAL_KEY_PREFIX + _random(_WORD, _KEY_LENGTH - len(LOCAL_KEY_PREFIX)),
        _random(string.ascii_letters + string.digits, 40),
        secrets.token_urlsafe(256),
        float(int(now) + alias["seconds"]),
    )
    store.execute("DELETE FROM temporary_credential WHERE expires < ?", now - _KEPT_SECONDS)
    store.execute(
        "INSERT INTO temporary_credential VALUES (?, ?, ?, ?, ?, ?)",
        made.key_id,
        made.secret,
        made.token,
        alias["role"],
        principal,
        made.expires,
    )
    return {
        "credentials": {
            "accessKeyId": made.key_id,
            "secretAccessKey": made.secret,
            "sessionToken": made.token,
            "expiration": clock.iso(datetime.fromtimestamp(made.expires, UTC)),
        }
    }


def find(store: Store, key_id: str) -> Credentials | None:
    """The temporary credentials with an access key, whether they have expired or not."""
    row = store.row("SELECT * FROM temporary_credential WHERE key_id = ?", key_id)
    return Credentials(row["key_id"], row["secret"], row["token"], row["expires"]) if row else None


def check(store: Store, found: Credentials, token: str) -> None:
    """Refuse a request with temporary credentials that came without their token, or too late.

    Raises:
        AwsError: InvalidToken, ExpiredToken.

    """
    if not hmac.compare_digest(found.token.encode(), token.encode(errors="surrogateescape")):
        raise AwsError("InvalidToken", "The provided token is malformed or otherwise invalid.")
    if store.now() >= found.expires:
        raise AwsError("ExpiredToken", "The provided token has expired.")


def allows(operation: str, key: str) -> bool:
    """Whether they allow an operation of S3 on a key (empty: on a bucket, or on none).

    Any bucket of the platform may be read, as cores read the artifacts of whichever their operator has chosen; on AWS
    the operator grants that.
    """
    return operation in _READING or (operation == "s3:PutObject" and key.startswith(SAMPLES))


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
