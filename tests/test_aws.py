"""Operations by service and name, AWS's errors by ours: against a server that answers what it is told."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from datetime import timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest

from iotctl import clock
from iotctl.aws import Aws, refusals
from iotctl.aws.downloads import download
from iotctl.errors import (
    Auth,
    Conflict,
    Denied,
    Error,
    Exists,
    NoIndex,
    NotFound,
    Refused,
    Temporary,
    Throttled,
    Unsupported,
    Usage,
)
from tests.answering import Server, answering

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_IDENTITY = b"<GetCallerIdentityResponse><GetCallerIdentityResult/></GetCallerIdentityResponse>"
_SIGNED_IN = """\
sso_session = company
sso_account_id = 123456789012
sso_role_name = ops
[sso-session company]
sso_start_url = https://company.awsapps.com/start
sso_region = us-east-1"""


@pytest.fixture
def server() -> Iterator[Server]:
    """One server a test."""
    with answering() as found:
        yield found


def _fails(aws: Aws, op: str = "iot:DescribeThing", **params: Any) -> Error:
    with pytest.raises(Error) as caught:
        aws.call(op, once=True, **{"thingName": "pump", **params} if op.endswith("Thing") else params)
    return caught.value


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (429, "ThrottlingException", Throttled),
        (400, "TooManyRequestsException", Throttled),
        (503, "SlowDown", Throttled),
        (500, "InternalFailureException", Temporary),
        (503, "ServiceUnavailableException", Temporary),
        (502, "Whatever", Temporary),
        (403, "ExpiredTokenException", Auth),
        (403, "UnrecognizedClientException", Auth),
        (403, "InvalidSignatureException", Auth),
        (403, "AccessDeniedException", Denied),
        (401, "UnauthorizedException", Denied),
        (403, "Whatever", Denied),
        (409, "ResourceAlreadyExistsException", Exists),
        (409, "VersionConflictException", Conflict),
        (409, "DeleteConflictException", Conflict),
        (406, "CertificateStateException", Conflict),
        (412, "Whatever", Conflict),
        (404, "ResourceNotFoundException", NotFound),
        (404, "Whatever", NotFound),
        (409, "IndexNotReadyException", NoIndex),
        (501, "NotImplementedException", Unsupported),
        (400, "InvalidRequestException", Refused),
        (410, "LimitExceededException", Refused),
        (422, "MalformedPolicyException", Refused),
    ],
)
def test_every_refusal_is_one_of_our_errors(server: Server, status: int, code: str, expected: type[Error]) -> None:
    """Its class decides the exit code and whether it is tried again; AWS's code and request id are kept."""
    server.answer(status, {"message": "no\x1b[31m"}, x_amzn_errortype=code)
    error = _fails(server.aws())
    assert (expected, code) == (type(error), error.code)
    assert f"iot:DescribeThing: no\\x1b[31m ({code}, request id req-1)" == error.cause


def test_an_index_that_is_off_is_not_a_thing_that_is_missing(server: Server) -> None:
    """AWS says both with one code: "Index AWS_Things does not exist" is about no thing."""
    server.answer(404, {"message": "Index AWS_Things does not exist"}, x_amzn_errortype="ResourceNotFoundException")
    server.answer(404, {"message": "Thing index cannot be found"}, x_amzn_errortype="ResourceNotFoundException")
    assert [NoIndex, NotFound] == [type(_fails(server.aws())) for _ in range(2)]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>log in</html>"),
        (200, b'{"thingName":'),
        (200, b'{"attributes": [1]}'),
        (502, b"<html>bad gateway</html>"),
    ],
)
def test_garbage_is_never_an_answer(server: Server, status: int, body: bytes) -> None:
    """A captive portal, a cut answer: temporary, or an answer that holds nothing; never a crash."""
    server.answer(status, body)
    aws = server.aws()
    try:
        assert {} == aws.call("iot:DescribeThing", once=True, thingName="pump")
    except Error as error:
        assert isinstance(error, Temporary)  # noqa: PT017  both ends are allowed


def test_an_account_that_is_not_named_is_not_guessed(server: Server) -> None:
    """A proxy that answers in the place of AWS ends the command before it acts."""
    server.answer(200, b"<a><b/></a>", content_type="text/xml")
    with pytest.raises(Temporary):
        _ = server.aws().target


def test_one_attempt_or_several(server: Server) -> None:
    """Callers that retry themselves get one attempt; reads are tried again by botocore."""
    server.answer(500, {"message": "no"}, x_amzn_errortype="InternalFailureException")
    aws = server.aws()
    _fails(aws)
    assert 1 == len(server.paths)
    server.answer(200, {"thingName": "pump"})
    assert {"thingName": "pump"} == aws.call("iot:DescribeThing", thingName="pump")
    assert 3 == len(server.paths)


def test_pages_follow_the_tokens(server: Server) -> None:
    """Every page, by `nextToken` or by marker, until there is no more."""
    server.answer(200, {"things": [{}], "nextToken": "n1"})
    server.answer(200, {"things": [{}]})
    aws = server.aws()
    assert 2 == len(list(aws.pages("iot:ListThings")))
    server.answers.clear()
    server.answer(200, {"policies": [], "nextMarker": "m1"})
    server.answer(200, {"policies": []})
    assert 2 == len(list(aws.pages("iot:ListPolicies")))
    assert ["/things", "/things?nextToken=n1", "/policies", "/policies?marker=m1"] == server.paths
    server.answers.clear()
    server.answer(200, {"Quotas": [], "NextToken": "n2"})
    server.answer(200, {"Quotas": []})
    assert 2 == len(list(aws.pages("service-quotas:ListServiceQuotas", ServiceCode="iotcore")))


@pytest.mark.parametrize(("ahead", "hint"), [(1200, r"-(119\d|120\d) s off"), (0, "the clock is right")])
def test_a_refused_signature_says_how_far_the_clock_is_off(server: Server, ahead: int, hint: str) -> None:
    """The server's date against ours."""
    date = format_datetime(clock.now() + timedelta(seconds=ahead), usegmt=True)
    server.answer(403, {}, x_amzn_errortype="InvalidSignatureException", date=date)
    assert re.search(hint, _fails(server.aws()).hint)


@pytest.mark.parametrize("ahead", [-90, 0, 90])
def test_how_far_the_clock_is_off(server: Server, ahead: int) -> None:
    """This clock against the date of an answer, good to one second."""
    said = clock.now()
    server.answer(200, _IDENTITY, date=format_datetime(said - timedelta(seconds=ahead), usegmt=True))
    skew = server.aws().skew()
    assert skew is not None
    # The date was written before the call, to the second: a slow machine makes it older.
    assert ahead - 1 <= skew <= ahead + 1 + (clock.now() - said).total_seconds()


@pytest.mark.parametrize(("ahead", "off"), [(90, 90), (1, 0), (-90, -90)])
def test_the_time_is_what_aws_last_said(
    server: Server, monkeypatch: pytest.MonkeyPatch, ahead: float, off: float
) -> None:
    """Corrected by what this clock is off, unless that is no more than the date of an answer can tell."""
    monkeypatch.setattr(Aws, "kind", "aws")
    aws, said = server.aws(), clock.now()
    server.answer(200, _IDENTITY, date=format_datetime(said - timedelta(seconds=ahead), usegmt=True))
    aws.call("sts:GetCallerIdentity")
    found = (clock.now() - aws.now()).total_seconds()
    # The date was written before the call: a slow machine makes it older.
    assert abs(found - off) < 1.5 + (clock.now() - said).total_seconds()


@pytest.mark.parametrize("headers", [{}, {"date": "noon"}])
def test_an_answer_without_a_date_says_nothing_of_the_clock(server: Server, headers: dict[str, str]) -> None:
    """It is unknown, never right."""
    server.answer(200, _IDENTITY, **headers)
    assert server.aws().skew() is None


def test_an_endpoint_that_is_not_there_is_temporary() -> None:
    """Named, at once."""
    server = Server(url="http://127.0.0.1:9")
    error = _fails(server.aws())
    assert (Temporary, "Unreachable") == (type(error), error.code)
    assert "http://127.0.0.1:9" in error.cause


@pytest.mark.parametrize("op", ["iot:NoSuchOperation", "nosuchservice:X"])
def test_an_operation_that_botocore_does_not_know(server: Server, op: str) -> None:
    """It says what to upgrade."""
    error = _fails(server.aws(), op)
    assert (Unsupported, "pip install --upgrade boto3") == (type(error), error.hint)


def test_parameters_are_checked_before_a_read(server: Server) -> None:
    """A bug of ours is not sent."""
    with pytest.raises(Refused, match="would be refused"):
        server.aws().call("iot:DescribeThing", thingName=7)
    assert [] == server.paths


def test_members_are_the_models(server: Server) -> None:
    """The parameter names of an operation."""
    assert frozenset({"thingName"}) == server.aws().members("iot:DescribeThing")
    assert frozenset() == server.aws().members("iot:DescribeEventConfigurations")


@pytest.mark.parametrize(
    ("variables", "expected", "words"),
    [
        ({}, Auth, "no AWS credentials"),
        ({"AWS_ACCESS_KEY_ID": "AKIAX"}, Auth, "no usable AWS credentials"),
        ({"AWS_ACCESS_KEY_ID": "AKIAX", "AWS_SECRET_ACCESS_KEY": "x"}, Usage, "no AWS region"),
        (
            {"AWS_ACCESS_KEY_ID": "IOTCTLLOCALX", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "r-1"},
            Auth,
            "local platform's",
        ),
        (
            {
                "AWS_ACCESS_KEY_ID": "AKIAX",
                "AWS_SECRET_ACCESS_KEY": "x",
                "AWS_REGION": "r-1",
                "AWS_ENDPOINT_URL": "http://localhost:1",
            },
            Auth,
            "on this machine",
        ),
        ({"AWS_ACCESS_KEY_ID": "AKIAX", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "no region!"}, Usage, "region"),
        ({"AWS_PROFILE": "nobody"}, Auth, "nobody"),
        ({"AWS_CONFIG_FILE": __file__}, Usage, "configuration file"),
    ],
)
def test_an_environment_that_cannot_work(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: type[Error], words: str
) -> None:
    """Told before anything is sent: credentials, region, an endpoint that is not theirs."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(expected, match=words):
        Aws().call("iot:DescribeThing", thingName="pump")


@pytest.mark.parametrize(
    ("profile", "expected", "hint"),
    [
        ("sso_session = none\nsso_account_id = 123456789012\nsso_role_name = ops", Usage, "AWS_CONFIG_FILE"),
        ("role_arn = arn:aws:iam::123456789012:role/ops\nsource_profile = none", Usage, "AWS_CONFIG_FILE"),
        ("aws_access_key_id = AKIAX", Auth, "aws configure list --profile 'the ops'"),
        ("credential_process = /bin/false", Auth, "aws configure list --profile 'the ops'"),
        (_SIGNED_IN, Auth, "aws sso login --profile 'the ops'"),
    ],
)
def test_a_profile_that_cannot_sign(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, profile: str, expected: type[Error], hint: str
) -> None:
    """It is no temporary fault: what to type says which profile."""
    (tmp_path / "config").write_text(f'[profile "the ops"]\nregion = us-east-1\n{profile}\n')
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with pytest.raises(expected) as caught:
        Aws(profile="the ops").call("iot:DescribeThing", thingName="pump")
    assert hint in caught.value.hint


def test_an_mfa_code_that_nobody_can_type_is_no_interruption() -> None:
    """Where there is no terminal botocore's question ends in the end of the input."""
    found = refusals.translate("iot:DescribeThing", EOFError())
    assert isinstance(found, Auth)
    assert "MfaRequired" == found.code


def test_a_report_comes_through_the_proxy_of_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """As everything else that is asked of AWS: in many a company there is no other way out."""
    server.answer(200, b"a report")
    monkeypatch.setenv("http_proxy", server.url)
    assert b"a report" == download("http://reports.invalid/one?X-Amz-Signature=s3cr3t")
    assert ["http://reports.invalid/one?X-Amz-Signature=s3cr3t"] == server.paths


def test_secrets_stay_out_of_the_debug_log(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """`--debug` says every call, its time and request id; no header, no key."""
    server.answer(200, {"thingName": "pump"})
    with caplog.at_level(logging.DEBUG, "iotctl"):
        server.aws().call("iot:DescribeThing", thingName="pump")
    assert "request id req-1" in caplog.text
    assert "s3cr3t" not in caplog.text
    assert "Credential" not in caplog.text


def test_botocore_starts_without_awscrt() -> None:
    """It would cost every start forty milliseconds and sign no faster."""
    script = (
        "import sys; from iotctl.aws import Aws, service_model; service_model('iot'); Aws()._session\n"
        "print('awscrt' in sys.modules, 'boto3' in sys.modules)"
    )
    command = [sys.executable, "-c", script]
    assert "False True\n" == subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_sessions_of_aws_login_have_what_renews_them(tmp_path: Path) -> None:
    """Botocore renews them with awscrt's keys, which are looked for once, when it is imported."""
    (tmp_path / "config").write_text("[default]\nlogin_session = arn:aws:iam::123456789012:user/ops\n")
    script = "from iotctl.aws import models; print(models.module('botocore.credentials').EC is not None)"
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "AWS_CONFIG_FILE": str(tmp_path / "config")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "True\n" == ran.stdout
