"""What was asked for: the options of `plan` and `apply` as values -> rows and a plan; and a plan that was saved."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from iotctl import files, passphrase, pki, text
from iotctl.errors import Conflict, Usage
from iotctl.onboard import authority, engines, fleet, observe, row
from iotctl.onboard import plan as planning
from iotctl.semantics.quotas import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iotctl.context import Context
    from iotctl.onboard.fleet import Fleet
    from iotctl.plan import Plan

IOTCTL: Final = "iotctl"
BULK: Final = "aws-bulk"
POLICY_ON: Final = ("certificate", "group")
_SAME: Final = {
    "target": "the account or the region is another one",
    "runId": "the rows, or how keys are made, have changed",
    "each": "what is done for each thing has changed",
}
"""What must be as it was in a plan that was saved, and what it means where it is not."""


@dataclass(frozen=True, slots=True)
class Request:
    """The options, as they were given; paths are absolute, for a plan that is carried out from elsewhere."""

    file: str
    bundles: str | None = None
    policy: str = "thing"
    delimiter: str = ","
    renamed: Sequence[str] = ()
    limit: int | None = None
    key_type: str = "ec-p256"
    days: int = 3650
    quotas: Sequence[str] = ()
    policy_on: str = "certificate"
    adopt: bool = False
    claim: bool = True
    verify: bool = False
    registered_ca: bool = False
    engine: str = IOTCTL
    role: str = ""
    bucket: str = ""
    encrypt_keys_to: str = ""
    ca_cert: str = ""
    ca_key_file: str = ""
    ca_passphrase_file: str = ""

    def __post_init__(self) -> None:
        """Refuse what makes no sense, before anything is read.

        Raises:
            Usage: why.

        """
        check_key_type(self.key_type)
        if self.policy_on not in POLICY_ON:
            raise Usage(f"--policy-on takes certificate or group, not {self.policy_on!r}", hint="--policy-on group")
        if self.adopt and not self.claim:
            raise Usage("--adopt claims a thing, and --no-claim claims none: give one of them")
        if (self.file, self.encrypt_keys_to, self.ca_passphrase_file).count("-") > 1:
            raise Usage("only one of the rows and the passphrases can come from standard input")
        if self.engine == BULK and not self.registered_ca and self.ca_cert:
            raise Usage("AWS signs CSRs with a CA of its own: --ca-cert is not for them", hint="--ca registered")
        # AWS's bulk registration takes CSRs too: whether every row has one shows when they are read.
        if self.engine not in {IOTCTL, BULK} and not self.registered_ca:
            raise Usage(f"--engine {self.engine} takes certificates of a registered CA only", hint="--ca registered")
        if self.engine != IOTCTL and (self.ways != planning.Ways() or self.policy_on != "certificate"):
            raise Usage(f"--adopt, --no-claim, --verify and --policy-on are not for --engine {self.engine}")

    @property
    def directory(self) -> Path:
        """Where the bundles go.

        Raises:
            Usage: the rows come from standard input, and nobody says where.

        """
        if self.bundles is not None:
            return Path(self.bundles)
        if self.file == "-":
            raise Usage("the rows come from standard input: say where the bundles go", hint="--bundles DIR")
        return Path(f"{Path(self.file.removesuffix('.gz')).stem}-fleet")

    @property
    def ways(self) -> planning.Ways:
        """How things are met and left."""
        return planning.Ways(self.adopt, self.claim, self.verify)

    def rows(self) -> Fleet:
        """The rows, all of them judged."""
        given = "\t" if self.delimiter.upper() == "TAB" else self.delimiter
        if len(given) != 1:
            raise Usage(f"--delimiter takes one character, not {self.delimiter!r}")
        pairs = [pair.partition("=") for pair in self.renamed]
        if bad := next((pair for pair in pairs if not (pair[0] and pair[2])), None):
            raise Usage(f"--map takes THEIRS=OURS, not {''.join(bad)!r}", hint=f"--map serial={row.THING_NAME}")
        mapping = {theirs: ours for theirs, _, ours in pairs}
        reading = row.Reading(
            self.policy, observe.policy_name, pki.check_csr, given, mapping, limit=self.limit, claim=self.claim
        )
        found = fleet.read(self.file, reading)
        if self.engine == BULK and not self.registered_ca:
            _refuse_own_certificates(found)
        return found

    def plan(self, context: Context, rows: Fleet) -> Plan:
        """What must be done: what the rows share is looked at, the things are not."""
        directory = self.directory
        if rows.alike() and files.ignores_case(directory):
            one, other = rows.alike()[0]
            raise Usage(f"{one} and {other} would be one directory: the file system of {directory} ignores case")
        given = quotas(self.quotas)
        keys = planning.Keys(self.key_type, self.days, self.registered_ca, bool(self.encrypt_keys_to))
        if self.encrypt_keys_to:
            context.passphrase = passphrase.read(self.encrypt_keys_to)
        if self.registered_ca or self.engine != BULK:
            context.authority = authority.given(self.ca_cert, self.ca_key_file, self.ca_passphrase_file, directory)
        place = observe.place(context.aws, directory, context.platform if context.target.kind == "local" else None)
        missing = observe.shared(context.aws, rows, [self.policy])
        if self.policy_on == "group":
            run_id = planning.identity(rows.digest, place, keys)
            missing = observe.carried(context.aws, rows, missing, run_id)
        if self.engine == "jitp":
            found = engines.just_in_time(rows, missing, place, keys, self.role)
        elif self.engine == BULK:
            found = engines.in_bulk(rows, missing, place, keys, self.role, self.bucket)
        else:
            found = planning.onboarding(rows, missing, place, keys, self.ways)
        return replace(found, quotas={**context.quotas, **given})

    def to_json(self) -> dict[str, Any]:
        """The request as a saved plan holds it."""
        absolute = self.file if self.file == "-" else str(Path(self.file).absolute())
        others = {
            name: given if given in {"", "-"} else str(Path(given).absolute())
            for name in ("encrypt_keys_to", "ca_cert", "ca_key_file", "ca_passphrase_file")
            if (given := getattr(self, name)) is not None
        }
        return {**asdict(self), "file": absolute, "bundles": str(self.directory.absolute()), **others}


def _refuse_own_certificates(rows: Fleet) -> None:
    """AWS's bulk registration signs CSRs, or takes certificates of a CA that it knows; no others.

    Raises:
        Usage: a row has no CSR.

    """
    without = next((one for one in rows if not one.get("csr")), None)
    if without is not None:
        raise Usage(
            f"line {without['line']}: {without['thingName']} has no csr, and --engine {BULK} takes CSRs, or"
            " certificates of a registered CA",
            hint="--ca registered",
        )


def check_key_type(given: str) -> None:
    """Refuse a type of keys that there is not.

    Raises:
        Usage: with the one that was probably meant.

    """
    if given not in pki.KEY_TYPES:
        meant = text.nearest(given, pki.KEY_TYPES) or pki.KEY_TYPES[0]
        known = ", ".join(pki.KEY_TYPES)
        raise Usage(f"unknown key type {given!r}", hint=f"--key-type {meant}; one of {known}")


def quotas(given: Sequence[str]) -> dict[str, float]:
    """The operator's own word on calls a second, by operation.

    Raises:
        Usage: it is not OP=N, or no such operation is known.

    """
    found: dict[str, float] = {}
    for word in given:
        name, _, number = word.partition("=")
        op = name if ":" in name else f"iot:{name}"
        try:
            found[op] = float(number)
        except ValueError:
            found[op] = 0.0
        if not 0 < found[op] < 1e6:
            raise Usage(f"--quota takes OP=N, not {word!r}", hint="--quota RegisterCertificateWithoutCA=50")
        if op not in DEFAULTS and not op.startswith("iot-data:"):
            meant = text.nearest(op, DEFAULTS) or "iot:CreateThing"
            raise Usage(
                f"no quota is known by the name of {name!r}", hint=f"--quota {meant.partition(':')[2]}={number}"
            )
    return found


def saved(path: str) -> tuple[Request, dict[str, Any]]:
    """What `onboard plan -o json` wrote: its request, and all of it.

    Raises:
        Usage: it is no such file.

    """
    try:
        # The last line holds the plan; those before it are the things, one each, and may be millions.
        with Path(path).open("rb") as lines:
            last = b""
            for line in lines:
                last = line if line.strip() else last
        found = json.loads(last)["data"]
        request = Request(**{**found["request"], "renamed": tuple(found["request"]["renamed"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Usage(
            f"{path} is not a plan that was saved", hint="iotctl onboard plan FILE -o json > plan.json"
        ) from error
    if request.file == "-":
        raise Usage(f"{path} is of rows from standard input, which are not there any more", hint="plan from a file")
    return request, found


def refuse_stale(path: str, was: dict[str, Any], plan: Plan) -> None:
    """Refuse a saved plan that is not what would be planned now.

    Raises:
        Conflict: with what has changed.

    """
    now = json.loads(json.dumps(plan.to_json()))
    changed = [why for key, why in _SAME.items() if now[key] != was.get(key)]
    # What is there by now was compared; the plan itself may have made it, and goes on.
    more = [step for step in now["shared"] if step not in was.get("shared", ()) and not step["op"].startswith("file:")]
    changed += [f"{step['op']} {next(iter(step['params'].values()))} is needed too" for step in more]
    if changed:
        raise Conflict(
            f"the plan {path} is stale: {'; '.join(changed)}",
            code="StalePlan",
            hint="make it again: iotctl onboard plan FILE -o json",
        )
