"""The job document: from a template that ships, from the operator's own, or by a job template of AWS IoT's.

What ships: `iotctl` (what `iotctl local devices` does, and the format for agents of one's own), `device-client` (AWS
IoT Device Client, with the handler iotctl-install.sh that verifies the signature) and `jobs-agent` (the example agent
of the AWS IoT Device SDK for JavaScript v1, which compares the digest and knows no signatures). Sources: the developer
guide's job-templates-managed page; awslabs/aws-iot-device-client, source/jobs; aws/aws-iot-device-sdk-js, examples.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from iotctl import templates, text
from iotctl.errors import NotFound, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

KIND: Final = "jobs"
HANDLER: Final = "iotctl-install.sh"
"""What runs on a device with AWS IoT Device Client."""
SIGNED: Final = frozenset({"manifest", "signature"})
"""The values without which a device cannot verify where an artifact comes from."""

_ARN: Final = re.compile(r"arn:aws[a-z-]*:iot:[a-z0-9-]*:(?P<account>[0-9]{12})?:jobtemplate/[A-Za-z0-9_.:-]{1,128}")


@dataclass(frozen=True, slots=True)
class Template:
    """Where a job document comes from.

    Attributes:
        path: the file; None: a job template of AWS IoT's.
        arn: of that; else empty.
        digest: what it is, for a rollout's identity: the SHA-256 of the file, or the ARN.
        asks: the values that the file asks for.

    """

    path: Path | None
    arn: str
    digest: str
    asks: frozenset[str]

    @property
    def is_signed(self) -> bool:
        """Whether its documents carry what a device verifies with."""
        return self.asks >= SIGNED

    @property
    def is_managed(self) -> bool:
        """Whether it is one that AWS manages: only those take parameters."""
        found = _ARN.fullmatch(self.arn)
        return found is not None and found["account"] is None


def template(words: str) -> Template:
    """The template that was typed: a name, a file, or an ARN.

    Raises:
        Usage: it is none of them, or cannot be read.

    """
    if words.startswith("arn:"):
        if not _ARN.fullmatch(words):
            raise Usage(f"{text.sanitize(words)!r} is not the ARN of a job template")
        return Template(None, words, words, frozenset())
    path = Path(words)
    if "/" not in words and not path.suffix:
        try:
            path = templates.shipped(KIND, words)
        except NotFound as error:
            raise Usage(error.message, hint=error.hint) from error
    asks = templates.variables(path)
    return Template(path, "", hashlib.sha256(path.read_bytes()).hexdigest(), asks)


def rendered(source: Template, values: Mapping[str, str]) -> str:
    """The document of a template file, as canonical JSON.

    Raises:
        Usage: the template cannot be rendered, or asks for a value that is not there.

    """
    assert source.path is not None
    missing = source.asks - set(values)
    if missing & SIGNED:
        raise Usage(
            "this job document is signed, and no key is named", code="NoKey", hint="--key-file FILE (iotctl ota keygen)"
        )
    if missing:
        known = ", ".join(sorted(values))
        raise Usage(
            f"the template asks for {', '.join(sorted(missing))}",
            hint=f"--parameter {min(missing)}=VALUE; it may also use {known}",
        )
    return text.canonical(templates.render_file(source.path, **values))


def filled(parameters: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    """The parameters of a managed template, `{url}` and the like in them replaced by what they stand for."""
    found = {}
    for key, value in parameters.items():
        for name, standing in values.items():
            value = value.replace(f"{{{name}}}", standing)  # noqa: PLW2901  one after the other
        found[key] = value
    return found
