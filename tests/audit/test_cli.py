"""The audit commands against a platform with planted faults: exactly those are found, and nothing is ever changed."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from iotctl import aws, files
from iotctl.context import Context
from iotctl.kept import Kept
from iotctl.target import Platform, Target
from tests.local.clients import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Ran

    Iotctl = Callable[..., Ran]


@pytest.fixture
def on_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Act on the platform with the planted faults."""
    monkeypatch.setenv("IOTCTL_HOME", str(home))
    monkeypatch.setenv("IOTCTL_TARGET", "local")


FOUND = {
    ("CA_CERTIFICATE_EXPIRING_CHECK", None),
    ("CERTIFICATE_ON_SEVERAL_THINGS_CHECK", None),
    ("DEVICE_CERTIFICATE_EXPIRING_CHECK", None),
    ("IOT_POLICY_OVERLY_PERMISSIVE_CHECK", "wide"),
    ("ORPHAN_CERTIFICATE_CHECK", None),
    ("THING_OUTSIDE_GROUPS_CHECK", "outside"),
    ("THING_WITHOUT_CERTIFICATE_CHECK", "bare"),
}
DRIFT = {
    ("ATTRIBUTE_OFF_BASELINE_CHECK", "elsewhere"),
    ("SHADOW_OFF_BASELINE_CHECK", "p7"),
    ("THING_POLICIES_OFF_BASELINE_CHECK", "bare"),
}
BASELINE = """version = 1
[fleet]
policies = ["thing"]
attributes.site = "oslo"
shadow."desired.rate" = 5
"""


def found(ran: Ran) -> set[tuple[str, str | None]]:
    """The checks that found something, with the resource where it has a name that is known here."""
    return {
        (one["checkName"], one["resource"] if len(one["resource"]) < 64 else None)
        for one in ran.envelope["data"]["findings"]
    }


def test_what_was_planted_is_found_and_nothing_else(iotctl: Iotctl, on_it: None, tmp_path: Path) -> None:
    """Without a baseline and with one; each fault once, exit 4; again it is the same to the byte."""
    plain = iotctl("audit", "run", "-o", "json")
    assert (4, FOUND, 7) == (plain.code, found(plain), len(plain.envelope["data"]["findings"]))

    (tmp_path / "baseline.toml").write_text(BASELINE)
    words = ("audit", "run", "--baseline", str(tmp_path / "baseline.toml"), "-o", "json")
    ran = iotctl(*words)
    assert (4, FOUND | DRIFT, 10) == (ran.code, found(ran), len(ran.envelope["data"]["findings"]))
    assert ran.stdout == iotctl(*words).stdout
    live = iotctl(*words, "--live")
    from_index = "as the fleet index has"
    assert (ran.stdout, True, False) == (live.stdout, from_index in ran.stderr, from_index in live.stderr)


def test_a_part_of_the_fleet_and_of_the_checks(iotctl: Iotctl, on_it: None, tmp_path: Path) -> None:
    """Only these things and their certificates, only this check; a clean part is 0; a near name is offered."""
    (tmp_path / "some").write_text("p1\np2\n")
    policies = "IOT_POLICY_OVERLY_PERMISSIVE_CHECK"
    clean = iotctl("audit", "run", "--things", str(tmp_path / "some"), "--check", "ORPHAN_CERTIFICATE_CHECK")
    assert (0, "") == (clean.code, clean.stdout)
    ending = iotctl("audit", "run", "--check", "DEVICE_CERTIFICATE_EXPIRING_CHECK", "-o", "json").envelope["data"]
    listed = iotctl("onboard", "certs", "expiring", "-o", "json")
    assert (4, ["ending"]) == (listed.code, [one["thingName"] for one in listed.envelope["data"]["certificates"]])
    assert [(["ending"], "iotctl onboard certs rotate ending")] == [
        (one["thingNames"], one["mend"]) for one in ending["findings"]
    ]
    assert 0 == iotctl("audit", "run", "--check", "THING_OUTSIDE_GROUPS_CHECK", "--fail-on", "medium").code
    assert 3 == iotctl("audit", "run", "--check", "CONFLICTING_CLIENT_IDS_CHECK").code
    assert (2, True) == ((ran := iotctl("audit", "run", "--check", policies[:-1])).code, policies in ran.stderr)
    assert 2 == iotctl("audit", "run", "--fail-on", "bad").code
    assert 2 == iotctl("audit", "run", "--report", "pdf=x").code
    refused = {
        ("--report", f"sarif={tmp_path}/nowhere/a.sarif"): (2, f"there is no directory {tmp_path}/nowhere"),
        ("--search", "thingName:"): (2, "is not a fleet index query"),
        ("-g", "nowhere"): (8, "there is no thing group nowhere"),
    }
    for words, (code, why) in refused.items():
        ran = iotctl("audit", "run", *words)
        assert (code, True) == (ran.code, why in ran.stderr), ran.stderr


def test_all_about_a_check(iotctl: Iotctl) -> None:
    """In paragraphs, whatever case its name is written in; without a name a line for each."""
    one = iotctl("audit", "checks", "silent_device_check")
    title, _, first, _, more = one.stdout.splitlines()
    assert (0, "SILENT_DEVICE_CHECK: MEDIUM, ours, one finding for each thing") == (one.code, title)
    assert ("A device has neither", "Where connections") == (first[:20], more[:17])
    assert all(len(line.split("\t")) == 4 for line in iotctl("audit", "checks").stdout.splitlines())


def test_a_captured_baseline_finds_nothing(iotctl: Iotctl, on_it: None, tmp_path: Path) -> None:
    """`audit baseline` declares the fleet as it is."""
    captured = iotctl("audit", "baseline")
    (tmp_path / "baseline.toml").write_text(captured.stdout)
    drift = [one["checkName"] for one in iotctl("audit", "checks", "-o", "json").envelope["data"]["checks"]]
    words = [word for name in drift if "_OFF_BASELINE_" in name for word in ("--check", name)]

    ran = iotctl("audit", "run", "--baseline", str(tmp_path / "baseline.toml"), *words)

    assert (0, 0, "") == (captured.code, ran.code, ran.stdout)


def test_reports_and_revocation_lists(iotctl: Iotctl, on_it: None, tmp_path: Path) -> None:
    """Written beside the answer, whatever it is; a file that is no list is refused with its name."""
    paths = {kind: tmp_path / kind for kind in ("sarif", "junit", "html", "markdown")}
    wanted = ",".join(f"{kind}={path}" for kind, path in paths.items())
    assert 4 == iotctl("audit", "run", "--report", wanted).code
    assert "2.1.0" == json.loads(paths["sarif"].read_text())["version"]
    assert "<testsuite" in paths["junit"].read_text()
    assert "<h1>Audit of" in paths["html"].read_text()
    assert "# Audit of" in paths["markdown"].read_text()

    (tmp_path / "list").write_text("no list")
    ran = iotctl("audit", "run", "--crl", str(tmp_path / "list"))
    assert (2, True) == (ran.code, "list: this is not a certificate revocation list" in ran.stderr)


def test_certificates_are_read_once(iotctl: Iotctl, on_it: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second run asks for none of them again: a certificate never changes."""
    iotctl("audit", "run", "--check", "DEVICE_CERTIFICATE_EXPIRING_CHECK")
    asked: list[str] = []
    call = aws.Aws.call
    monkeypatch.setattr(aws.Aws, "call", lambda self, op, **more: asked.append(op) or call(self, op, **more))

    assert 4 == iotctl("audit", "run", "--check", "DEVICE_CERTIFICATE_EXPIRING_CHECK").code
    assert "iot:ListCertificates" in asked
    assert "iot:DescribeCertificate" not in asked


def test_an_audit_that_was_stopped_goes_on(iotctl: Iotctl, on_it: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it had read is not asked for again, and it says so; --fresh reads all; one that got through leaves none."""
    words = ("audit", "run", "--check", "STUCK_DESIRED_STATE_CHECK", "--live")
    call, asked, most = aws.Aws.call, list[str](), 15

    def counted(self: aws.Aws, op: str, **more: Any) -> dict[str, Any]:
        if op == "iot-data:GetThingShadow":
            if len(asked) >= most:
                raise KeyboardInterrupt
            asked.append(more["thingName"])
        return call(self, op, **more)

    monkeypatch.setattr(aws.Aws, "call", counted)
    threads = threading.active_count()
    assert 130 == iotctl(*words).code
    until(lambda: threading.active_count() <= threads)
    target = Target("local", *(Context().target.to_json()[key] for key in ("accountId", "region")))
    with Kept(files.state_home(), target) as kept:
        # What was on its way when it was stopped is not among them.
        before = set(kept.known("iot-data:GetThingShadow", asked))
    most = 100
    asked.clear()
    goes_on = iotctl(*words)
    assert (0, "going on with the audit of", 26) == (goes_on.code, goes_on.stderr[:26], len(before) + len(asked))
    assert (True, set()) == (len(before) > 0, before & set(asked))

    for number in (26, 52):
        asked.clear()
        again = iotctl(*words, *(("--fresh",) if number == 52 else ()))
        assert (0, False, 26) == (again.code, "going on" in again.stderr, len(asked))


def test_a_sample_is_always_the_same(iotctl: Iotctl, on_it: None) -> None:
    """So many things, or a share of them; told; words that are neither are refused."""
    words = ("audit", "run", "--check", "THING_WITHOUT_CERTIFICATE_CHECK", "--check", "THING_OUTSIDE_GROUPS_CHECK")
    checked = {}
    ran = {size: iotctl(*words, "--sample", size, "-o", "json") for size in ("5", "20%")}
    for size, one in ran.items():
        checked[size] = {each["checked"] for each in one.envelope["data"]["checks"]}
        assert "a sample: 5 of 26 things" in one.stderr
    assert {"5": {5}, "20%": {5}} == checked
    assert ran["5"].envelope["data"] == ran["20%"].envelope["data"]
    assert {2} == {iotctl(*words, "--sample", size).code for size in ("0", "-1", "1.5", "200%", "x")}
    assert 2 == iotctl(*words, "--sample", "5", "--engine", "defender").code


def test_what_this_platform_does_not_have_is_skipped(iotctl: Iotctl, on_it: None) -> None:
    """IAM and Cognito are asked, and are not there: skipped with the reason, incomplete only when asked for by name."""
    names = ("IOT_ROLE_ALIAS_OVERLY_PERMISSIVE_CHECK", "UNAUTHENTICATED_COGNITO_ROLE_OVERLY_PERMISSIVE_CHECK")
    ran = iotctl("audit", "run", *(word for name in names for word in ("--check", name)), "-o", "json")
    ended = {one["checkName"]: (one["state"], one["reason"]) for one in ran.envelope["data"]["checks"]}

    assert (3, "skipped", "skipped") == (ran.code, ended[names[0]][0], ended[names[1]][0])
    assert ("iam:ListRolePolicies is not there", "cognito-identity:ListIdentityPools is not there") == tuple(
        ended[name][1] for name in names
    )


def test_a_reading_that_failed_is_never_clean(iotctl: Iotctl, on_it: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page cut short by an error: unknown, exit 3, with the operation and the reason."""
    from iotctl.errors import Temporary

    pages = aws.Aws.pages

    def broken(self: aws.Aws, op: str, **more: Any) -> Iterator[dict[str, Any]]:
        yield from pages(self, op, **more)
        if op == "iot:ListPolicies":
            raise Temporary("it is down")

    monkeypatch.setattr(aws.Aws, "pages", broken)
    ran = iotctl("audit", "run", "-o", "json")

    ended = {one["checkName"]: (one["state"], one["reason"]) for one in ran.envelope["data"]["checks"]}
    assert 3 == ran.code
    assert ("unknown", "iot:ListPolicies failed: it is down") == ended["IOT_POLICY_OVERLY_PERMISSIVE_CHECK"]
    assert "pass" != ended["IOT_POLICY_POTENTIAL_MISCONFIGURATION_CHECK"][0]


def test_the_client_of_an_audit_cannot_change_anything(home: Path) -> None:
    """Whoever asks for it: what is no read is refused before it is sent."""
    platform = Platform.from_json(json.loads((home / "local" / "platform.json").read_bytes()))
    reading = aws.Aws(platform=platform)
    reading.read_only = True

    with pytest.raises(PermissionError, match="DeleteThing"):
        reading.call("iot:DeleteThing", thingName="p0")
    assert "p0" == reading.call("iot:DescribeThing", thingName="p0")["thingName"]
