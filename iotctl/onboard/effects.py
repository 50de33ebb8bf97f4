"""The steps of a bulk registration: rows as lines of a task, and what came of each folded into its outcome.

With certificates of a registered CA a line says which one. With a CSR, AWS signs: the certificate is in the report of
the task; or, where that was not seen, on the thing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from iotctl import bundle, made, pki, text
from iotctl.errors import Conflict, Error, Integrity, NotFound, Refused
from iotctl.onboard import engines, provisioning, rotation, signing, submitted
from iotctl.onboard.connections import Connections
from iotctl.onboard.executions import Executions
from iotctl.onboard.plan import CLAIM
from iotctl.onboard.tasks import Tasks
from iotctl.pki import certificates as x509

if TYPE_CHECKING:
    import contextlib
    import threading

    from iotctl.aws import Aws
    from iotctl.context import Context

Say = Callable[[Sequence[str]], None]
Answer = dict[str, Any] | Error
Effect = Callable[[Sequence[Mapping[str, Any]]], "list[dict[str, Any] | Error]"]

_THERE: Final = re.compile(r"ResourceConflicts?Exception")
"""What the report says of a line whose thing is there already (OverrideSettings: FAIL)."""
_CODE: Final = re.compile(r"Error Code: (\w+)")
_OF_CLIENT: Final = re.compile(r"^com\.amazonaws\.[\w.]+: | \(Service: .*$")
_TOLD: Final = 500


def effects(context: Context, stop: threading.Event, say: Say, stack: contextlib.ExitStack) -> dict[str, Effect]:
    """The effects of this capability's plans, by the names of their steps."""
    tasks, connections, executions = Tasks(context.aws, stop, say), Connections(context, stack), Executions(context.aws)
    return {
        engines.BULK: Bulk(tasks),
        engines.BULK_REQUESTS: BulkRequests(tasks, context.aws),
        rotation.RECORD: signing.record,
        rotation.WATCH: connections.watch,
        rotation.CHOOSE: signing.choose,
        rotation.SIGN: signing.Signer(context.authority),
        rotation.CONNECTED: connections.connected,
        rotation.WATCH_JOBS: executions.watch,
        rotation.ASKED: executions.asked,
        rotation.PUBLISH: signing.publish,
    }


class Bulk:
    """The effect `onboard:RegisterInBulk`: things, with certificates of a CA that the account knows."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks

    def __call__(self, batch: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """Register a batch.

        Args:
            batch: one mapping per thing: `bucket`, `prefix`, `roleArn`, `accountId`, `row` (of the fleet file),
                `certificate` (certificateId, certificatePem), `authority` (the CA that signed it, PEM).

        Returns:
            Per thing, in order: `there`, whether it was there already; or why it was not registered.

        Raises:
            Error: a task could not be started or did not end well; its rows stay planned.

        """
        lines = [provisioning.parameters(one["row"], one["certificate"], one["authority"]) for one in batch]
        answers: dict[int, Answer] = {}
        for numbers in _alike(batch, lines):
            task = self._tasks.run([lines[each] for each in numbers], _template(batch, lines, numbers), batch[0])
            errors = self._tasks.errors(task)
            for position, number in enumerate(numbers, 1):
                failed = _failed(errors.get(position), batch[number]["row"]["thingName"])
                answers[number] = failed if isinstance(failed, Error) else {"there": failed}
        return [answers[number] for number in range(len(batch))]


class BulkRequests:
    """The effect `onboard:RegisterRequestsInBulk`: things, with certificates that AWS signs for their CSRs.

    AWS makes a certificate whenever it is asked to, so what was asked for once is looked at before it is asked again.
    Whether a line that fails because its thing is another's has left a certificate behind, AWS does not say.
    """

    def __init__(self, tasks: Tasks, aws: Aws) -> None:
        self._tasks = tasks
        self._aws = aws

    def __call__(self, batch: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """Register a batch.

        Args:
            batch: one mapping per thing: `bucket`, `prefix`, `roleArn`, `accountId`, `certificateArn` (its prefix),
                `directory` (of the bundles), `runId`, `row` (of the fleet file, with a `csr`).

        Returns:
            Per thing, in order: certificateId, certificatePem, certificateArn; `there`, whether it was there already;
            or why it was not registered.

        Raises:
            Error: a task could not be started or did not end well; its rows stay planned.

        """
        directory, run_id = Path(batch[0]["directory"]), batch[0]["runId"]
        asked = submitted.noted(directory, run_id)
        if asked:
            self._tasks.wait_for_others()
        answers: dict[int, Answer] = {}
        for number, one in enumerate(batch):
            found = self._found(one) if one["row"]["thingName"] in asked else None
            if found is not None:
                answers[number] = found
        left = [number for number in range(len(batch)) if number not in answers]
        lines = [provisioning.requested(one["row"]) for one in batch]
        for chosen in _alike([batch[number] for number in left], [lines[number] for number in left]):
            numbers = [left[position] for position in chosen]
            submitted.note(directory, run_id, [batch[number]["row"]["thingName"] for number in numbers])
            task = self._tasks.run([lines[each] for each in numbers], _template(batch, lines, numbers), batch[0])
            errors, signed = self._tasks.errors(task), self._tasks.certificates(task)
            for position, number in enumerate(numbers, 1):
                answers[number] = self._answer(batch[number], errors.get(position), signed.get(position))
        return [answers[number] for number in range(len(batch))]

    def _answer(self, one: Mapping[str, Any], error: str | None, pem: str | None) -> Answer:
        failed = _failed(error, one["row"]["thingName"])
        if isinstance(failed, Error):
            return failed
        if not failed and pem:
            try:
                return _signed(one, pem)
            except Error as wrong:
                return wrong
        # It was there already, or the report does not hold what it was given.
        return self._found(one) or Refused(
            "AWS registered it, and neither its report nor the thing has its certificate yet",
            code="Report",
            hint="run the same command again; it looks before it asks again",
        )

    def _found(self, one: Mapping[str, Any]) -> Answer | None:
        """What is there of a thing that may have been registered with its CSR; None: nothing is."""
        name, csr = one["row"]["thingName"], one["row"]["csr"]
        try:
            claim = self._aws.call("iot:DescribeThing", thingName=name).get("attributes", {}).get(CLAIM)
            for pem in self._certificates(name):
                identity = x509.read(pem).certificate_id
                # Replaced since, for a key that the device has made itself: the directory knows of it.
                if claim == identity == _rotated(one):
                    return _told(one, pem, identity, there=True)
                if pki.csr_matches(csr, pem) and claim in {provisioning.claim(csr), identity}:
                    return _told(one, pem, identity, there=True)
        except NotFound:
            return None
        except Error as error:
            return error
        return Conflict(
            f"{name} exists, and has no certificate for the key of its CSR that this fleet claimed",
            hint="someone else made it, AWS stopped half way, or certs rotate was run with other bundles: compare",
        )

    def _certificates(self, thing_name: str) -> Iterator[str]:
        for page in self._aws.pages("iot:ListThingPrincipals", thingName=thing_name):
            for principal in page.get("principals", []):
                if ":cert/" in principal:
                    which = principal.rpartition("/")[2]
                    found = self._aws.call("iot:DescribeCertificate", certificateId=which)
                    yield str(found["certificateDescription"]["certificatePem"])


def _signed(one: Mapping[str, Any], pem: str) -> dict[str, Any]:
    """What is known of a thing whose certificate AWS has signed just now.

    Raises:
        Integrity: it is not for the key of the CSR.

    """
    if not pki.csr_matches(one["row"]["csr"], pem):
        raise Integrity("AWS's report has a certificate for another key than that of the CSR")
    return _told(one, pem, x509.read(pem).certificate_id, there=False)


def _told(one: Mapping[str, Any], pem: str, identity: str, *, there: bool) -> dict[str, Any]:
    arn = f"{one['certificateArn']}{identity}"
    return {"certificateId": identity, "certificatePem": pem, "certificateArn": arn, "there": there}


def _rotated(one: Mapping[str, Any]) -> str:
    """The certificate that has replaced the one of a thing's CSR, as its bundles tell it; empty where none has."""
    first = Path(one["directory"]) / made.DEVICES / bundle.directory_name(one["row"]["thingName"])
    latest = bundle.newest(first)
    return str((made.config(latest) or {}).get("certificateId", "")) if latest != first else ""


def _alike(batch: Sequence[Mapping[str, Any]], lines: Sequence[Mapping[str, str]]) -> Iterator[list[int]]:
    """The numbers of the rows that one template can register, for each template that it takes."""
    kinds: dict[tuple[Any, ...], list[int]] = {}
    for number, (one, line) in enumerate(zip(batch, lines, strict=True)):
        kinds.setdefault((*line, *sorted(one["row"].get("attributes") or ())), []).append(number)
    return iter(kinds.values())


def _template(
    batch: Sequence[Mapping[str, Any]], lines: Sequence[Mapping[str, str]], numbers: Sequence[int]
) -> dict[str, Any]:
    first = numbers[0]
    return provisioning.in_bulk(batch[first]["row"].get("attributes") or (), list(lines[first]))


def _failed(message: str | None, thing_name: str) -> bool | Error:
    """Why a line was not registered: True where its thing was there already, False where it was."""
    if message is None:
        return False
    if _THERE.search(message):
        return True
    code, cause = _CODE.search(message), text.sanitize(_OF_CLIENT.sub("", message))[:_TOLD]
    return Refused("it was not registered", code=code[1] if code else "", cause=cause, on=thing_name)
