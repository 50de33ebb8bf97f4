"""Whether what the commands need is there, read-only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from iotctl.errors import Denied, Error, NotFound, Unsupported
from iotctl.semantics import assumable, quotas
from iotctl.target import AUDIT_ROLE, JOB_PRESIGN_ROLE, REGISTRATION_ROLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from iotctl.aws import Aws

_SKEW: Final = 30
"""Seconds that a clock may be off: AWS refuses signatures from 300 s on, and certificates are made by it."""

_MAKES: Final = "iotctl account template makes it"
_PERMISSIONS: Final = frozenset(
    {"iot:DescribeEndpoint", "iot:GetIndexingConfiguration", "iot:ListPolicies", "iot:ListThings"}
)
"""Reads that commands make too: without them, it is the permission that is missing."""

_REFUSED: Final = {"s3:HeadBucket": ", or the bucket is another account's"}


@dataclass(frozen=True, slots=True)
class Answer:
    """One check: ok, missing, wrong (there, and not as it must be), or unknown (it could not be read)."""

    check: str
    state: str
    detail: str


def check(aws: Aws) -> Iterator[Answer]:
    """Look at the account, read-only.

    Raises:
        Auth: there are no usable credentials; nothing else can be said then.

    """
    bucket, account = aws.target.bucket, aws.target.account_id
    yield Answer("identity", "ok", f"{aws.identity} on {aws.target}")
    yield _judge("clock", "sts:GetCallerIdentity", lambda: _clock(aws.skew()))
    yield _read(aws, "data endpoint", "iot:DescribeEndpoint", _endpoint, endpointType="iot:Data-ATS")
    yield _read(aws, "registry", "iot:ListThings", _allowed, maxResults=1)
    yield _read(aws, "policies", "iot:ListPolicies", _allowed, pageSize=1)
    yield _read(aws, "fleet indexing", "iot:GetIndexingConfiguration", _indexing)
    yield _judge("quotas", "service-quotas:ListServiceQuotas", lambda: _quotas(aws))
    yield _judge(
        f"bucket {bucket}",
        "s3:HeadBucket",
        lambda: _there(aws.call("s3:HeadBucket", Bucket=bucket, ExpectedBucketOwner=account)),
        absent=f"{_MAKES}; or, alone: aws s3 mb s3://{bucket}",
    )
    for role in (JOB_PRESIGN_ROLE, REGISTRATION_ROLE, AUDIT_ROLE):
        yield _read(aws, f"role {role}", "iam:GetRole", lambda answer: _role(answer, account), RoleName=role)
    yield _read(aws, "role alias", "iot:ListRoleAliases", _role_aliases)


_Verdict = tuple[str, str]
"""State and detail."""


def _read(aws: Aws, name: str, op: str, judge: Callable[[Mapping[str, Any]], _Verdict], **params: Any) -> Answer:  # noqa: ANN401  AWS's own shapes
    return _judge(name, op, lambda: judge(aws.call(op, **params)))


def _judge(name: str, op: str, verdict: Callable[[], _Verdict], *, absent: str = _MAKES) -> Answer:
    try:
        return Answer(name, *verdict())
    except NotFound:
        return Answer(name, "missing", absent)
    except Unsupported:
        return Answer(name, "unknown", f"{op} is not built on this platform")
    except Denied:
        state = "missing" if op in _PERMISSIONS else "unknown"
        return Answer(name, state, f"{op} is not allowed{_REFUSED.get(op, '')}: iotctl account iam {op}")
    except Error as error:
        return Answer(name, "unknown", error.message)


def _clock(skew: float | None) -> _Verdict:
    if skew is None:
        return "unknown", "the answer has no date"
    if abs(skew) > _SKEW:
        return "wrong", f"the clock of this machine is {skew:+.0f} s off AWS's: set it"
    return "ok", f"at most {abs(skew) + 1:.0f} s off AWS's"


def _endpoint(answer: Mapping[str, Any]) -> _Verdict:
    return "ok", answer["endpointAddress"]


def _allowed(_: Mapping[str, Any]) -> _Verdict:
    return "ok", "may be read"


def _there(_: Mapping[str, Any]) -> _Verdict:
    return "ok", "this account's"


def _indexing(answer: Mapping[str, Any]) -> _Verdict:
    mode = answer.get("thingIndexingConfiguration", {}).get("thingIndexingMode", "OFF")
    if mode == "OFF":
        return "missing", "OFF; --search and dynamic groups need it (aws iot update-indexing-configuration)"
    return "ok", mode


def _quotas(aws: Aws) -> _Verdict:
    pages = aws.pages("service-quotas:ListServiceQuotas", ServiceCode=quotas.SERVICE, MaxResults=100)
    found = quotas.rates(quota for page in pages for quota in page["Quotas"])
    known = {op: found[op] for op in quotas.DEFAULTS if op in found}
    others = [f"{op} {rate:g}/s" for op, rate in known.items() if rate != quotas.DEFAULTS[op]]
    if not known:
        return "unknown", "Service Quotas names none of the rates that plans count with"
    return "ok", ", ".join(others) or "AWS's defaults"


def _role(answer: Mapping[str, Any], account_id: str) -> _Verdict:
    role = answer["Role"]
    fault = assumable.fault(role, "iot.amazonaws.com", account_id)
    return ("wrong", fault.words) if fault else ("ok", role["Arn"])


def _role_aliases(answer: Mapping[str, Any]) -> _Verdict:
    aliases = answer.get("roleAliases", [])
    return ("ok", ", ".join(aliases)) if aliases else ("missing", f"Greengrass cores need one; {_MAKES}")
