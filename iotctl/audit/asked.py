"""What an audit was asked for: the words of the command line as values, and the audit itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from iotctl.audit import baseline as declared
from iotctl.audit import observe, verdict
from iotctl.errors import Usage
from iotctl.scope import Scope
from iotctl.semantics.checks import Check, Rules, Severity, judge, load
from iotctl.semantics.checks.fleet import RevocationList
from iotctl.text import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iotctl.audit.observe import Observed, Wanted
    from iotctl.audit.verdict import Audit
    from iotctl.context import Context


@dataclass(frozen=True, slots=True)
class Asked:
    """An audit that is asked for.

    Attributes:
        checks: those to make.
        named: those of them that were asked for by name.
        rules: what they go by.
        wanted: what is read for them.
        words: what it is about, for a person; the audits of the same words are a series.

    """

    checks: tuple[Check, ...]
    named: tuple[str, ...]
    rules: Rules
    wanted: Wanted
    words: str

    def about(self, things: Sequence[str]) -> Asked:
        """The same of only these things: the checks that look at things one by one."""
        checks = tuple(one for one in self.checks if one.of == "things")
        needs = frozenset(need for one in checks for need in one.needs)
        return replace(self, checks=checks, wanted=replace(self.wanted, needs=needs, things=things))


def asked(
    context: Context,
    *,
    check: Sequence[str] = (),
    baseline: Path | None = None,
    scope: Scope | None = None,
    crl: Sequence[Path] = (),
    sample: str | None = None,
    live: bool = False,
    fresh: bool = False,
) -> Asked:
    """An audit of the words of a command.

    Raises:
        BadInput: the baseline has faults.
        Usage: a word is not what it should be.

    """
    checks = tuple(known(name) for name in check) or tuple(load().values())
    crls = tuple(_crl(path) for path in crl)
    read = declared.read(baseline, context.target) if baseline else None
    rules = read.rules() if read else Rules()
    wanted = observe.Wanted.of(
        checks,
        things=scope,
        baseline=rules.baseline,
        crls=crls,
        beyond=_not_given(rules, crls),
        sample=_sample(sample),
        live=live,
        fresh=fresh,
    )
    words = [str(scope) if scope else "all things", f"baseline {baseline}" if baseline else ""]
    words += [f"a sample of {sample}" if sample else "", ", ".join(sorted(one.name for one in checks)) if check else ""]
    return Asked(checks, tuple(check), rules, wanted, "; ".join(filter(None, words)))


def _not_given(rules: Rules, crls: Sequence[RevocationList]) -> dict[str, str]:
    """What checks need and nobody gave, with what gives it."""
    found = {} if crls else {"crls": "no revocation list was given (--crl)"}
    if not rules.baseline:
        found["baseline"] = "no baseline was given (--baseline)"
    if not rules.keys:
        found["strong_keys"] = found.get("baseline", "the baseline lists no kinds of keys (certificate.keys)")
    return found


def audited(context: Context, wanted: Asked) -> tuple[Audit, Observed]:
    """The audit, made now.

    Raises:
        Auth: the credentials are no good.
        NotFound: the scope does not exist.

    """
    seen = observe.fleet(context, wanted.wanted)
    findings, verdicts = judge(seen.fleet, wanted.rules, wanted.checks)
    exemptions = wanted.rules.baseline.exemptions if wanted.rules.baseline else ()
    return verdict.settled(findings, verdicts, exemptions, seen.fleet), seen


def known(name: str) -> Check:
    """The check of this name.

    Raises:
        Usage: there is none.

    """
    found = load().get(name.upper())
    if found is None:
        meant = nearest(name.upper(), load())
        raise Usage(f"there is no check {name!r}", hint=f"did you mean {meant}?" if meant else "iotctl audit checks")
    return found


def about(check: Check) -> str:
    """All that is to be said of a check, for a person."""
    whose = "ours" if check.ours else "Device Defender's"
    resource = check.resource_type.lower().replace("_", " ")
    return f"{check.name}: {check.severity}, {whose}, one finding for each {resource}\n\n{check.help}\n"


def severity(word: str) -> Severity:
    """The severity of this name.

    Raises:
        Usage: it is none.

    """
    if word.upper() not in set(Severity):
        raise Usage(f"{word!r} is not a severity", hint="--fail-on low|medium|high|critical")
    return Severity(word.upper())


def scope(thing_group: str | None, search: str | None, things: str | None) -> Scope | None:
    """The things that were named; None: all."""
    named = any(word is not None for word in (thing_group, search, things))
    return Scope(None, thing_group, search, things) if named else None


def reports(text: str | None) -> dict[str, Path]:
    """The files of `--report`, by kind.

    Raises:
        Usage: a part is not KIND=FILE.

    """
    from iotctl.audit.report import KINDS

    found: dict[str, Path] = {}
    for part in text.split(",") if text else ():
        kind, equals, path = part.partition("=")
        if kind not in KINDS or not equals or not path:
            raise Usage(f"--report {part!r} is not KIND=FILE", hint=f"kinds: {', '.join(KINDS)}")
        found[kind] = Path(path)
        if not found[kind].parent.is_dir():
            raise Usage(f"--report {part!r}: there is no directory {found[kind].parent}", on=path)
    return found


def content(path: Path) -> bytes:
    """What is in a file that was named.

    Raises:
        Usage: it cannot be read.

    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise Usage(f"{path} cannot be read: {error.strerror}", on=str(path)) from error


def _sample(text: str | None) -> float:
    """How many things: a number of them from 1 on, a share of them below 1, 0 for all."""
    number, percent = (text or "0").removesuffix("%"), (text or "").endswith("%")
    try:
        size = float(number) / 100 if percent else float(int(number))
    except ValueError:
        size = -1
    if size < 0 or (percent and size > 1) or (text and not size):
        raise Usage(f"--sample {text!r} is not a number of things", hint="--sample 500, or --sample 5%")
    return 0 if percent and size == 1 else size


def _crl(path: Path) -> RevocationList:
    from iotctl.pki import certificates as x509

    try:
        return RevocationList(*x509.revocations(content(path)))
    except Usage as error:
        raise Usage(f"{path}: {error.message}", code=error.code, on=str(path)) from error
