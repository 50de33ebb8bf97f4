"""The words of `infer push` as values: sampling, wheels, settings, actions, the condition of a canary."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from iotctl import expression, text, upload
from iotctl.errors import Usage
from iotctl.infer import actions, component, verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_LINUX: Final = re.compile(r"(?:many|musl)?linux\w*_(x86_64|aarch64|armv7l)")
_MACHINES: Final = {"x86_64": ("amd64",), "aarch64": ("aarch64",), "armv7l": ("arm",)}
"""As wheels name them, and as Greengrass does."""
_WORDS: Final = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'[^'\\]*'|[A-Za-z_$][\w$.:-]*")
_OF_EXPRESSIONS: Final = frozenset({"and", "or", "not", "true", "false", "null"})
_STRATEGIES: Final = {
    "random": "RANDOM_SAMPLING",
    "least-confidence": "LEAST_CONFIDENCE",
    "margin": "MARGIN",
    "entropy": "ENTROPY",
}


def condition(promote_if: str) -> str:
    """A condition of facts that are known of a canary.

    Raises:
        Usage: it cannot be read, or asks for something else.

    """
    expression.parse(promote_if, where="--promote-if")
    asked = {word for word in _WORDS.findall(promote_if) if word[0] not in "\"'"} - _OF_EXPRESSIONS
    if unknown := sorted(asked - set(verdict.FACTS)):
        raise Usage(f"--promote-if knows no {unknown[0]}", hint=f"it knows {', '.join(verdict.FACTS)}")
    return promote_if


def pairs(on: Sequence[str], do: Sequence[str]) -> tuple[actions.Action, ...]:
    """The actions of `--on` and `--do`, in pairs as they were typed.

    Raises:
        Usage: one of a pair is missing, or cannot be read.

    """
    if len(on) != len(do):
        raise Usage(f"{len(on)} --on and {len(do)} --do: each condition has one action, in this order")
    return tuple(actions.parse(*pair) for pair in zip(on, do, strict=True))


def strategy(words: str, bucket: str) -> component.Feedback:
    """Which inputs go back, as `--feedback` names it: `all`, `random:0.05`, `margin:0.1`.

    Raises:
        Usage: it cannot be read.

    """
    if words == "all":
        return component.Feedback(bucket)
    name, _, amount = words.partition(":")
    share = float(amount) if _NUMBER.fullmatch(amount) else -1.0
    if name not in _STRATEGIES or share < 0 or (name != "entropy" and share > 1):
        known = "all, random:RATE, least-confidence:P, margin:P or entropy:H"
        raise Usage(f"--feedback {words!r} is not {known}", hint="--feedback margin:0.1")
    return component.Feedback(bucket, _STRATEGIES[name], share)


def wheels(directory: str) -> tuple[component.Artifact, ...]:
    """The wheels of a directory, each with the machines that its name says it is for.

    Raises:
        Usage: there are none, or one is for no machine that Greengrass knows.

    """
    found = []
    for path in sorted(Path(directory).glob("*.whl")):
        tag = path.stem.rpartition("-")[2]
        # One wheel may be for several: `manylinux2014_x86_64.manylinux_2_17_x86_64` (PEP 425, compressed tag sets).
        tags = tag.split(".")
        named = {machine for one in tags if (found_in := _LINUX.fullmatch(one)) for machine in _MACHINES[found_in[1]]}
        if not named and "any" not in tags:
            raise Usage(f"{path} is a wheel for {tag}, which no core is", on=str(path))
        machines = tuple(one for one in component.ARCHITECTURES if one in named or "any" in tags)
        file = upload.Artifact.of(path)
        found.append(component.Artifact(path.name, file.sha256, file.size, path, machines))
    if not found:
        raise Usage(f"{directory} holds no wheels", hint=f"pip download {component.PACKAGES} -d {directory}")
    return tuple(found)


def settings(path: str | None) -> Mapping[str, Any]:
    """More of the program's settings, out of a JSON file.

    Raises:
        Usage: it is not a JSON object.

    """
    if path is None:
        return {}
    try:
        found = text.loads(Path(path).read_bytes(), name=path)
    except OSError as error:
        raise Usage(f"{path} cannot be read: {error.strerror}", on=path) from error
    if not isinstance(found, dict):
        raise Usage(f"{path} does not hold a JSON object", on=path)
    return found
