"""The steps of a rotation that are done on this machine: a CSR judged and signed, kept, and made the thing's bundle.

<bundles>/runs/<run>.json       what the rotation is: its things, when it began; kept before a job is made
<bundles>/rotating/<thing>/     a certificate that was signed and is on its way; for a device that lost its key in
                                between `<thing>@2` follows it, and the latest counts
<bundles>/devices/<thing>@2/    the bundle of a thing once its certificate was replaced: no private key, for that never
                                left the device; the first one stays beside it

A certificate is here before it is registered, so after a lost answer "did it arrive?" always has an answer.
"""

from __future__ import annotations

import json
import secrets
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from iotctl import bundle, files, fleet_ca, made, pki, text
from iotctl.bundle import CERTIFICATE, CONFIG, ROOT_CA, Bundle
from iotctl.errors import Conflict, Error, Integrity, RolloutFailed
from iotctl.onboard import plan as planning
from iotctl.onboard.plan import ADOPTED
from iotctl.pki import requests
from iotctl.rotation import FAILED, REQUESTED, Delivery

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TOLD: Final = 200
_NO_BUNDLE: Final[Mapping[str, Any]] = {"runId": "", "thingType": "", "thingGroups": []}
"""What the bundle of a thing says that somebody else has made: no onboarding of ours takes it back."""


def record(batch: Sequence[Mapping[str, Any]]) -> list[dict[str, Any] | Error]:
    """The effect `file:RecordRotation`: what the run is, kept once.

    Args:
        batch: one mapping: `directory`, `runId`, `command`, `target`, `scope`, `begun`, `keyType`, `days`, `things`,
            `supersedes`.

    Raises:
        Local: it cannot be written.

    """
    for params in batch:
        path = made.record_path(Path(params["directory"]), params["runId"])
        if path.exists():
            continue
        with files.explained(path):
            path.parent.mkdir(files.PRIVATE_DIRECTORY, exist_ok=True)
        content = {"version": 1, "shared": [], **{key: value for key, value in params.items() if key != "directory"}}
        files.replace(path, (json.dumps(content, indent=2) + "\n").encode())
    return [{} for _ in batch]


def choose(batch: Sequence[Mapping[str, Any]]) -> list[dict[str, Any] | Error]:
    """The effect `file:ChooseCertificate`: which certificate of a thing is to be replaced.

    It is the one that the thing claims, else the one of its bundle, else the only one that it has.

    Args:
        batch: one mapping per thing: `directory`, `thingName`, `rotation`, `claim` (if any), `principals`
            (principal: an ARN, thingPrincipalType), `certificateArn` (the beginning of each), `supersedes` (rotations
            that are not gone on with).

    Returns:
        Per thing, in order: certificateId, certificateArn, thingPrincipalType (how it is attached), signed (whether the
        next one has been signed); or Conflict.

    """
    return [_caught(_chosen, params) for params in batch]


def _chosen(params: Mapping[str, Any]) -> dict[str, Any]:
    directory, thing_name = Path(params["directory"]), params["thingName"]
    under_way = made.rotating(directory, thing_name)
    kinds = {
        one["principal"].rpartition("/")[2]: one.get("thingPrincipalType")
        for one in params.get("principals", ())
        if ":cert/" in one["principal"]
    }
    if under_way:
        config = bundle.load(under_way[-1]).config
        run = config["rotationId"]
        if run not in {params["rotation"], *params.get("supersedes", ())}:
            raise Conflict(
                f"another rotation ({run}) of {thing_name} is under way",
                code="OtherRotation",
                hint="go on with it first: the same scope as then (iotctl onboard status has its things)",
                on=thing_name,
            )
        signed, found = run == params["rotation"], str(config["replaces"])
    else:
        held = list(kinds)
        place = bundle.newest(directory / made.DEVICES / bundle.directory_name(thing_name))
        own = str((made.config(place) or {}).get("certificateId", ""))
        claim = str(params.get("claim", "")).removeprefix(ADOPTED)
        choice = next((one for one in (claim, own) if one in held), held[0] if len(held) == 1 else "")
        if not choice:
            has = f"{text.count(len(held), 'certificate')}, none of which is known as its own" if held else "none"
            raise Conflict(f"which certificate of {thing_name} is to be replaced? it has {has}", on=thing_name)
        signed, found = False, choice
    return {
        "certificateId": found,
        "certificateArn": f"{params['certificateArn']}{found}",
        "thingPrincipalType": kinds.get(found) or planning.EXCLUSIVE,
        "signed": signed,
    }


class Signer:
    """The effect `file:SignRequest`: a CSR is judged, signed by the fleet CA, and kept; once for each key.

    Args:
        given: the fleet CA, where somebody brings it.

    """

    def __init__(self, given: pki.Authority | None = None) -> None:
        self._given = given
        self._attempt = secrets.token_hex(8)
        self._lock = threading.Lock()
        self._authorities: dict[Path, pki.Authority] = {}

    def __call__(self, batch: Sequence[Mapping[str, Any]]) -> list[dict[str, Any] | Error]:
        """Sign what is good.

        Args:
            batch: one mapping per thing: `directory`, `thingName`, `rotation`, `reported` (of its shadow), `claim` (if
                any), `replaces` (the old certificate's id), `before` (its PEM), `keyType`, `days`, `config`, `rootCa`,
                `certificateArn`.

        Returns:
            Per thing, in order: certificateId, certificatePem, certificateArn; `delivery` (the update of the shadow)
            and its `attempt`; `claim` and whether there is one to be made (`claims`); `abandoned`: ids of certificates
            for keys that the device has lost. Or why it was refused.

        """
        with self._lock:
            return [_caught(self._signed, params) for params in batch]

    def _signed(self, params: Mapping[str, Any]) -> dict[str, Any]:
        directory, thing_name = Path(params["directory"]), params["thingName"]
        csr = _csr(params)
        there = [bundle.load(place) for place in made.rotating(directory, thing_name)]
        ours = there and there[-1].config["rotationId"] == params["rotation"]
        if not ours or (csr and not pki.csr_matches(csr, there[-1].certificate_pem)):
            there.append(self._issued(directory, csr, params, len(there) + 1))
        new = there[-1]
        delivery = Delivery(params["rotation"], new.certificate_pem, new.certificate_id, self._attempt)
        claim = str(params.get("claim", ""))
        return {
            "certificateId": new.certificate_id,
            "certificatePem": new.certificate_pem,
            "certificateArn": f"{params['certificateArn']}{new.certificate_id}",
            "delivery": text.canonical({"state": {"desired": delivery.desired()}}),
            "attempt": delivery.attempt,
            "claims": bool(claim),
            "claim": f"{ADOPTED if claim.startswith(ADOPTED) else ''}{new.certificate_id}",
            "abandoned": [one.certificate_id for one in there[:-1]],
        }

    def _issued(self, directory: Path, csr: str, params: Mapping[str, Any], number: int) -> Bundle:
        thing_name = params["thingName"]
        if not csr:
            raise Integrity(f"{thing_name} has not asked for a certificate", code="CsrUnreadable", on=thing_name)
        issued = self._authority(directory).sign(csr, common_name=thing_name, days=params["days"])
        name = bundle.directory_name(thing_name)
        # The key of the first bundle may be encrypted: it is nothing to us.
        before = made.config(bundle.newest(directory / made.DEVICES / name)) or _NO_BUNDLE
        config = {
            "version": 1,
            **before,
            **params["config"],
            "thingName": thing_name,
            "certificateId": issued.certificate_id,
            "rotationId": params["rotation"],
            "replaces": params["replaces"],
            "keyFile": "",
            "certificateFile": CERTIFICATE,
            "rootCaFile": ROOT_CA,
        }
        config.pop("keyEncrypted", None)
        place = directory / made.ROTATING / bundle.generation(name, number)
        staging = directory / ".staging" / place.name
        with files.explained(place):
            for needed in (staging.parent, place.parent):
                needed.mkdir(files.PRIVATE_DIRECTORY, exist_ok=True)
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir(files.PRIVATE_DIRECTORY)
            files.replace(staging / CERTIFICATE, issued.certificate_pem.encode(), 0o644)
            files.replace(staging / ROOT_CA, params["rootCa"].encode(), 0o644)
            files.replace(staging / CONFIG, (json.dumps(config, indent=2) + "\n").encode(), 0o640)
            staging.rename(place)
            files.sync_directory(place.parent)
        return Bundle(place, config, issued.certificate_id, issued.certificate_pem)

    def _authority(self, directory: Path) -> pki.Authority:
        if directory not in self._authorities:
            self._authorities[directory] = fleet_ca.load(directory, self._given)
        return self._authorities[directory]


def _csr(params: Mapping[str, Any]) -> str:
    """The CSR that a device has asked with, if it is a good one; empty where it has asked nothing.

    Raises:
        Integrity: it is not good. RolloutFailed: the device says that it cannot do it.

    """
    reported = params.get("reported")
    if not isinstance(reported, dict) or reported.get("rotation") != params["rotation"]:
        return ""
    if reported.get("state") == FAILED:
        reason = text.sanitize(str(reported.get("reason") or "no reason given"))[:_TOLD]
        raise RolloutFailed("its device has failed", code="DeviceFailed", cause=reason, on=params["thingName"])
    csr = reported.get("csr")
    if reported.get("state") != REQUESTED or csr is None:
        return ""
    if not isinstance(csr, str):
        raise Integrity("its CSR is refused: it is no text", code="CsrUnreadable", on=params["thingName"])
    requests.verify(csr, params["thingName"], key_type=params["keyType"], before=params["before"])
    return csr


def publish(batch: Sequence[Mapping[str, Any]]) -> list[dict[str, Any] | Error]:
    """The effect `file:PublishRotated`: what was under way is the bundle of its thing from now on.

    Args:
        batch: one mapping per thing: `directory`, `thingName`, `certificateId`.

    Returns:
        Per thing, in order: `directory`, where its bundle is.

    """
    answers = [_caught(_published, params) for params in batch]
    directory = Path(batch[0]["directory"])
    for parent in (directory / made.ROTATING, directory / made.DEVICES):
        with files.explained(parent):
            files.sync_directory(parent)
    return answers


def _published(params: Mapping[str, Any]) -> dict[str, Any]:
    directory, thing_name = Path(params["directory"]), params["thingName"]
    name = bundle.directory_name(thing_name)
    *abandoned, place = made.rotating(directory, thing_name)
    if bundle.load(place).certificate_id != params["certificateId"]:
        raise Integrity(f"the bundle {place} has changed since this began", on=thing_name)
    with files.explained(place):
        for one in abandoned:
            made.put_away(directory, one)
        (directory / made.DEVICES).mkdir(files.PRIVATE_DIRECTORY, exist_ok=True)
        number = 2
        while (final := directory / made.DEVICES / bundle.generation(name, number)).exists():
            number += 1
        place.rename(final)
    return {"directory": str(final)}


def _caught(function: Any, params: Mapping[str, Any]) -> dict[str, Any] | Error:  # noqa: ANN401  one of the above
    """Its answer, or the error of this one thing."""
    try:
        answer: dict[str, Any] = function(params)
    except (Conflict, Integrity, RolloutFailed) as error:
        return error
    return answer
