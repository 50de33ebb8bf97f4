"""The functions of a provisioning template: Ref, Fn::Join, Fn::Select, Fn::Split, Fn::Sub, Fn::FindInMap. Pure.

Source: AWS IoT developer guide, provision-template ("Intrinsic functions"), which has them from CloudFormation, as has
this file what the guide leaves open: the forms of `Fn::Sub`, and `${!x}` for a literal `${x}`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_VARIABLE: Final = re.compile(r"\$\{(!?)([^{}]*)\}")
_DEEPEST: Final = 32
_INDEX: Final = re.compile(r"\d{1,6}")


class TemplateError(ValueError):
    """A template that AWS IoT does not take, or one that has no value with these parameters."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a template's functions find.

    Attributes:
        parameters: values by name: those that were given, else the defaults.
        mappings: the section `Mappings`.

    """

    parameters: Mapping[str, str]
    mappings: Mapping[str, Any] = field(default_factory=dict)


def resolve(value: Any, scope: Scope) -> Any:  # noqa: ANN401  any JSON, and any JSON comes out
    """A value of a template with its functions replaced by what they stand for.

    Raises:
        TemplateError: a reference leads nowhere, or a function is not given what it needs.

    """
    return _resolve(value, scope, _DEEPEST)


def is_function(value: object) -> bool:
    """Whether a JSON value is a call of a function: an object whose one key is its name."""
    return isinstance(value, dict) and len(value) == 1 and next(iter(value)) in _FUNCTIONS


def _resolve(value: Any, scope: Scope, depth: int) -> Any:  # noqa: ANN401  any JSON
    if depth == 0:
        raise TemplateError(f"it is nested more than {_DEEPEST} levels deep")
    if isinstance(value, list):
        return [_resolve(one, scope, depth - 1) for one in value]
    if not isinstance(value, dict):
        return value
    if not is_function(value):
        unknown = [name for name in value if name == "Ref" or name.startswith("Fn::")]
        if unknown:
            raise TemplateError(f"{unknown[0]} is not a function of provisioning templates, or does not stand alone")
        return {key: _resolve(one, scope, depth - 1) for key, one in value.items()}
    ((name, argument),) = value.items()
    if name == "Ref":  # its argument is a name, and no function gives one
        return _reference(argument, scope)
    if name == "Fn::Sub":  # its first argument holds variables in its text
        return _substituted(argument, scope, depth - 1)
    return _FUNCTIONS[name](_resolve(argument, scope, depth - 1), scope)


def _reference(name: object, scope: Scope) -> str:
    found = scope.parameters.get(name) if isinstance(name, str) else None
    if found is None:
        raise TemplateError(f"Cannot resolve reference value: {name}")
    return found


def _join(argument: Any, _: Scope) -> str:  # noqa: ANN401  any JSON
    match argument:
        case [str(delimiter), list(parts)] if all(isinstance(part, str) for part in parts):
            return delimiter.join(parts)
    raise TemplateError("Fn::Join takes a delimiter and a list of strings")


def _select(argument: Any, _: Scope) -> Any:  # noqa: ANN401  any JSON
    match argument:
        case [index, list(values)] if type(index) is int or (isinstance(index, str) and _INDEX.fullmatch(index)):
            position = int(index)
            if not 0 <= position < len(values) or values[position] is None:
                raise TemplateError(f"Fn::Select finds nothing at {position} in a list of {len(values)}")
            return values[position]
    raise TemplateError("Fn::Select takes an index and a list")


def _split(argument: Any, _: Scope) -> list[str]:  # noqa: ANN401  any JSON
    match argument:
        case [str(delimiter), str(text)] if delimiter:
            return text.split(delimiter)
    raise TemplateError("Fn::Split takes a delimiter and a string")


def _find_in_map(argument: Any, scope: Scope) -> Any:  # noqa: ANN401  any JSON
    match argument:
        case [str(name), str(first), str(second)]:
            try:
                return scope.mappings[name][first][second]
            except KeyError:
                raise TemplateError(f"Fn::FindInMap finds nothing at {name}, {first}, {second}") from None
    raise TemplateError("Fn::FindInMap takes the name of a map and two keys")


def _substituted(argument: Any, scope: Scope, depth: int) -> str:  # noqa: ANN401  any JSON
    match argument:
        case str(text):
            own: Mapping[str, Any] = {}
        case [str(text), dict(values)]:
            own = _resolve(values, scope, depth) if values else {}
        case _:
            raise TemplateError("Fn::Sub takes a string, or a string and values by name")
    if not all(isinstance(value, str) for value in own.values()):
        raise TemplateError("Fn::Sub substitutes strings")

    def replaced(found: re.Match[str]) -> str:
        literal, name = found.groups()
        if literal:
            return f"${{{name}}}"
        return str(own[name]) if name in own else _reference(name, scope)

    return _VARIABLE.sub(replaced, text)


_FUNCTIONS: Final[Mapping[str, Callable[[Any, Scope], Any]]] = {
    "Ref": _reference,
    "Fn::FindInMap": _find_in_map,
    "Fn::Join": _join,
    "Fn::Select": _select,
    "Fn::Split": _split,
    "Fn::Sub": lambda argument, scope: _substituted(argument, scope, _DEEPEST),
}
