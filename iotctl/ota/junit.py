"""A rollout as a JUnit report, for CI: a suite for each job, a test case for each thing. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from iotctl.ota.standing import State, standing
from iotctl.semantics.rollout import FAILURES
from iotctl.text import sanitize

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotctl.ota.executions import Phase
    from iotctl.ota.reasons import Failed
    from iotctl.ota.standing import Verdict

_NOT_BEGUN: Final = "QUEUED"


@dataclass(frozen=True, slots=True)
class Ended:
    """An execution as the listing of a job has it.

    Attributes:
        thing_name: of its thing.
        status: of it.
        seconds: from the moment it was queued until it last changed.

    """

    thing_name: str
    status: str
    seconds: float


def report(
    name: str,
    phases: Sequence[Phase],
    executions: Mapping[str, Sequence[Ended]],
    failures: Mapping[tuple[str, str], Failed],
    verdict: Verdict,
) -> str:
    """The report.

    Things that did not make it failed; but where the rollout has passed without them, their cases are skipped, with the
    reason: a report with failures would fail what `watch` lets pass. Skipped too are those that have not begun, are at
    it, or had it taken away. The verdict is a test case of its own.

    Args:
        name: of the rollout.
        phases: its jobs.
        executions: by job id.
        failures: what is known of those that failed, by job id and thing.
        verdict: what it comes to.

    """
    root = ET.Element("testsuites", name=sanitize(f"iotctl ota {name}"))
    for phase in phases:
        found = executions.get(phase.job.job_id, ())
        suite = ET.SubElement(root, "testsuite", name=sanitize(f"{phase.name} {phase.job.job_id}"))
        for one in found:
            failed = failures.get((phase.job.job_id, one.thing_name))
            _case(suite, phase, one, failed, tolerated=verdict.state is State.PASSED)
        failed_cases, skipped = (len(suite.findall(f"testcase/{outcome}")) for outcome in ("failure", "skipped"))
        suite.attrib |= {
            "tests": str(len(found)),
            "failures": str(failed_cases),
            "errors": "0",
            "skipped": str(skipped),
        }
    _verdict(root, name, phases, verdict)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _case(suite: ET.Element, phase: Phase, one: Ended, failed: Failed | None, *, tolerated: bool) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        classname=sanitize(f"iotctl.ota.{phase.name}"),
        name=sanitize(one.thing_name),
        time=f"{one.seconds:.0f}",
    )
    if one.status in FAILURES:
        reason = sanitize(f"{one.status} {failed.reason}" if failed else one.status)
        outcome = ET.SubElement(case, "skipped" if tolerated else "failure", message=reason)
        if failed and failed.details:
            outcome.text = "\n".join(sanitize(f"{key}: {value}") for key, value in sorted(failed.details.items()))
    elif one.status != "SUCCEEDED":
        ET.SubElement(case, "skipped", message="never reached" if one.status == _NOT_BEGUN else one.status)


def _verdict(root: ET.Element, name: str, phases: Sequence[Phase], verdict: Verdict) -> None:
    failed, running = verdict.state is State.FAILED, verdict.state is State.RUNNING
    suite = ET.SubElement(
        root, "testsuite", name="verdict", tests="1", failures=str(int(failed)), errors=str(int(running)), skipped="0"
    )
    case = ET.SubElement(suite, "testcase", classname="iotctl.ota", name=sanitize(f"verdict on {name}"))
    if failed or running:
        ET.SubElement(case, "failure" if failed else "error", message=sanitize(verdict.reason))
    never = standing(phases).unreached
    if never:
        ET.SubElement(case, "system-out").text = f"never reached: {never}"
