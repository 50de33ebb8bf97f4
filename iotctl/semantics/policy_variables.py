"""The policy variables of an X.509 certificate, by the rules of the developer guide's cert-policy-variables page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_VALUES: Final = 5
"""Values of one attribute that are looked at; more are ignored."""

_SPECIAL = re.compile(r'[,"\\+=<>;]')


def certificate_variables(
    holder: Literal["Subject", "Issuer"], attributes: Mapping[str, Sequence[str]]
) -> dict[str, str | tuple[str, ...]]:
    """The variables of a certificate's subject or issuer.

    Args:
        holder: whose attributes they are.
        attributes: values by AWS's name (`CommonName`, `Organization`, `AlternativeName.DNSName`), in the order of the
            certificate.

    Returns:
        `iot:Certificate.<holder>.<name>` (the first value), the same with `.1` (the second), `.2`, ... and with `.List`
        (all of them, for conditions). Special characters stand behind a backslash.

    """
    variables: dict[str, str | tuple[str, ...]] = {}
    for name, values in attributes.items():
        escaped = tuple(_SPECIAL.sub(r"\\\g<0>", value) for value in values[:MAX_VALUES])
        if not escaped:
            continue
        variable = f"iot:Certificate.{holder}.{name}"
        variables[variable] = escaped[0]
        variables[f"{variable}.List"] = escaped
        variables |= {f"{variable}.{index}": value for index, value in enumerate(escaped) if index}
    return variables
