"""AWS's HTTP APIs from botocore's service models: routes, parameters, validation, serialisation, error codes.

Nothing here knows an operation: a service is known by the name that its requests are signed for, and the model says
the rest.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote

from iotctl.aws import service_model
from iotctl.local.gateway import hindrance
from iotctl.local.gateway.answers import JSON, Answer
from iotctl.local.gateway.shapes import Reader, Writer, problem, reader, timestamp, wire_name, writer
from iotctl.local.services import AwsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botocore.model import OperationModel, ServiceModel, Shape

SERVICES: Final = {
    "iot": "iot",
    "execute-api": "iot",  # what old clients sign for
    "iotdata": "iot-data",
    "iotdevicegateway": "iot-data",
    "iot-jobs-data": "iot-jobs-data",
    "greengrass": "greengrassv2",
    "servicequotas": "service-quotas",
}
"""The services of the rest-json and the json protocol, by the name that a request is signed for."""

_UNDECLARED: Final = {**hindrance.STATUSES, "UnknownOperationException": 404, "ForbiddenException": 403}
"""The statuses of errors that a service answers with and its model does not have."""
_REFUSALS: Final = (
    "InvalidRequestException",
    "ValidationException",
    "BadRequestException",
    "IllegalArgumentException",
)


@dataclass(frozen=True, slots=True)
class Request:
    """A request before it is understood.

    Attributes:
        path: as it was sent: not decoded, without the query.
        query: as it was sent.
        headers: looked up without regard to case.

    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@functools.cache
def api(service: str) -> Api:
    """The API of a service, by botocore's name; loaded when it is first asked for."""
    return Api(service)


class Api:
    """The routes and operations of one service."""

    def __init__(self, service: str) -> None:
        self.service = service
        self._model = service_model(service)
        self._prefix: str = self._model.metadata.get("targetPrefix", "")
        self._root = _Node()
        self._calls: dict[str, Call] = {}
        for name in self._model.operation_names:
            http = self._model.operation_model(name).http
            self._root.add(http["requestUri"].partition("?")[0].removeprefix("/").split("/"), http["method"], name)

    def call(self, method: str, path: str, target: str = "") -> tuple[Call, dict[str, str]]:
        """The operation of a request, and the labels of its path.

        Args:
            method: of the request.
            path: as it was sent.
            target: its `X-Amz-Target`, which counts in the json protocol alone.

        Raises:
            AwsError: UnknownOperationException.

        """
        if self._prefix:
            return self._targeted(target), {}
        labels: dict[str, str] = {}
        parts = path.removeprefix("/").split("/")
        name = self._root.find(parts, 0, method, labels)
        if name is None:
            # A slash at the end means nothing, and some models have one.
            name = self._root.find(parts[:-1] if not parts[-1] else [*parts, ""], 0, method, labels)
        if name is None:
            raise AwsError("UnknownOperationException", f"{self.service} has no operation {method} {unquote(path)}")
        return self.operation(name), labels

    def _targeted(self, target: str) -> Call:
        prefix, _, name = target.rpartition(".")
        if prefix != self._prefix or name not in self._model.operation_names:
            raise AwsError("UnknownOperationException", f"{self.service} has no operation {target[:128]}")
        return self.operation(name)

    def operation(self, name: str) -> Call:
        """An operation by its name."""
        found = self._calls.get(name)
        if found is None:
            found = self._calls[name] = Call(self._model.operation_model(name))
        return found

    def status(self, code: str) -> int:
        """The HTTP status of an error."""
        if code == "ThrottlingException":
            return 429  # what clients see, whatever the model of iot says (400)
        return _statuses(self.service).get(code, _UNDECLARED.get(code, 400))


class Call:
    """One operation: how its request is read and its answer written.

    Attributes:
        name: `service:Operation`.
        refusal: the error that a bad request gets.

    """

    def __init__(self, model: OperationModel) -> None:
        self.name = f"{model.service_model.service_name}:{model.name}"
        declared = {shape.name for shape in model.error_shapes}
        self.refusal = next((code for code in _REFUSALS if code in declared), _refusal(model.service_model))
        self._success: int = model.http.get("responseCode", 200)
        self._input = _Input.of(model)
        self._output = _Output.of(model)

    def parameters(self, request: Request, labels: Mapping[str, str]) -> dict[str, Any]:
        """The parameters of a request, every constraint of the model satisfied.

        Raises:
            AwsError: the name is `refusal`; the message names each problem.

        """
        problems: list[str] = []
        found = self._input.read(request, labels, problems)
        if problems:
            errors = "1 validation error" if len(problems) == 1 else f"{len(problems)} validation errors"
            raise AwsError(self.refusal, f"{errors} detected: {'; '.join(problems)}")
        return found

    def answer(self, result: Mapping[str, Any]) -> Answer:
        """The response of a result, whose keys are the model's output members.

        Raises:
            KeyError: the model has no such member.

        """
        return self._output.write(result, self._success)


@dataclass(slots=True)
class _Node:
    """A place in the tree of paths."""

    fixed: dict[str, _Node] = field(default_factory=dict)
    label: _Node | None = None
    rest: _Node | None = None
    operations: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)

    def add(self, parts: list[str], method: str, operation: str, names: tuple[str, ...] = ()) -> None:
        if not parts:
            self.operations[method] = (operation, names)
            return
        part, rest = parts[0], parts[1:]
        if part.endswith("+}"):
            self.rest = self.rest or _Node()
            self.rest.add(rest, method, operation, (*names, part[1:-2]))
        elif part.startswith("{"):
            self.label = self.label or _Node()
            self.label.add(rest, method, operation, (*names, part[1:-1]))
        else:
            self.fixed.setdefault(part, _Node()).add(rest, method, operation, names)

    def find(
        self, parts: list[str], at: int, method: str, labels: dict[str, str], values: tuple[str, ...] = ()
    ) -> str | None:
        """The operation of a path; a fixed part goes before a label, and a label before one that takes the rest."""
        if at == len(parts):
            found = self.operations.get(method)
            if found is None:
                return None
            labels.update(zip(found[1], map(unquote, values), strict=True))
            return found[0]
        part = parts[at]
        branch = self.fixed.get(part)
        name = branch.find(parts, at + 1, method, labels, values) if branch else None
        if name is None and self.label:
            name = self.label.find(parts, at + 1, method, labels, (*values, part))
        if name is None and self.rest:
            name = self.rest.find([], 0, method, labels, (*values, "/".join(parts[at:])))
        return name


@dataclass(frozen=True, slots=True)
class _Member:
    """An input member that is not in the body."""

    name: str
    key: str
    shape: Shape
    read: Reader


@dataclass(frozen=True, slots=True)
class _Input:
    """Where the members of an operation's input are, and how each is read."""

    labels: tuple[_Member, ...] = ()
    query: tuple[_Member, ...] = ()
    headers: tuple[_Member, ...] = ()
    required: tuple[str, ...] = ()
    body: Reader | None = None
    payload: _Member | None = None

    @classmethod
    def of(cls, model: OperationModel) -> _Input:
        shape = model.input_shape
        if shape is None:
            return cls()
        places: dict[str, list[_Member]] = {"uri": [], "querystring": [], "header": [], "headers": [], "": []}
        for name, member in shape.members.items():
            place = member.serialization.get("location", "")
            places[place].append(_Member(name, wire_name(name, member), member, reader(member)))
        payload = shape.serialization.get("payload")
        elsewhere = {member.name for place, members in places.items() if place for member in members}
        return cls(
            labels=tuple(places["uri"]),
            query=tuple(places["querystring"]),
            headers=tuple(places["header"]),
            required=tuple(shape.required_members),
            body=_body(places[""]) if places[""] and not payload else None,
            payload=next((member for member in places[""] if member.name == payload), None)
            if payload not in elsewhere
            else None,
        )

    def read(self, request: Request, labels: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for member in self.labels:
            found[member.name] = _of_text(member, labels[member.key], problems)
        if self.query and request.query:
            self._read_query(request.query, found, problems)
        for member in self.headers:
            text = request.headers.get(member.key)
            if text is not None:
                found[member.name] = _of_text(member, text, problems)
        if self.body is not None:
            found.update(self.body(_json(request.body), "", problems))
        elif self.payload is not None and request.body:
            raw = self.payload.shape.type_name in {"blob", "string"}
            content = request.body if raw else _json(request.body)
            found[self.payload.name] = self.payload.read(content, self.payload.name, problems)
        problems += [problem(None, name, "Member must not be null") for name in self.required if name not in found]
        return found

    def _read_query(self, query: str, found: dict[str, Any], problems: list[str]) -> None:
        given: dict[str, list[str]] = {}
        for key, value in parse_qsl(query, keep_blank_values=True):
            given.setdefault(key, []).append(value)
        for member in self.query:
            if member.shape.type_name == "map":
                names = {other.key for other in self.query}
                pairs = {key: values[0] for key, values in given.items() if key not in names}
                found[member.name] = member.read(pairs, member.name, problems)
            elif member.key in given and member.shape.type_name == "list":
                found[member.name] = member.read(given[member.key], member.name, problems)
            elif member.key in given:
                found[member.name] = _of_text(member, given[member.key][0], problems)


@dataclass(frozen=True, slots=True)
class _Output:
    """Where the members of an operation's output go, and how each is written."""

    body: Mapping[str, tuple[str, Writer]]
    headers: Mapping[str, str]
    status: str | None = None
    payload: str | None = None
    payload_is_raw: bool = False

    @classmethod
    def of(cls, model: OperationModel) -> _Output:
        shape = model.output_shape
        members = shape.members if shape is not None else {}
        payload = shape.serialization.get("payload") if shape is not None else None
        placed = {name: member.serialization.get("location", "") for name, member in members.items()}
        return cls(
            body={
                name: (wire_name(name, member), writer(member)) for name, member in members.items() if not placed[name]
            },
            headers={name: wire_name(name, member) for name, member in members.items() if placed[name] == "header"},
            status=next((name for name, place in placed.items() if place == "statusCode"), None),
            payload=payload,
            payload_is_raw=payload is not None and members[payload].type_name in {"blob", "string"},
        )

    def write(self, result: Mapping[str, Any], success: int) -> Answer:
        headers: dict[str, str] = {}
        content: dict[str, Any] = {}
        for name, value in result.items():
            if value is None:
                continue
            if name in self.headers:
                headers[self.headers[name]] = str(value)
            elif name == self.status:
                success = value
            elif name == self.payload and self.payload_is_raw:
                return Answer(success, value if isinstance(value, bytes) else value.encode(), JSON, headers)
            else:
                key, write = self.body[name]
                content[key] = write(value)
        if self.payload:
            content = next(iter(content.values()), {})
        return Answer(success, json.dumps(content, separators=(",", ":")).encode(), JSON, headers)


def _body(members: list[_Member]) -> Reader:
    """How the members of a JSON body are read; which are required is checked with those of the path and the query."""

    def read(value: Any, _path: str, problems: list[str]) -> Any:  # noqa: ANN401  whatever arrived
        if type(value) is not dict:
            problems.append(problem(value, "body", "Member must be an object"))
            return {}
        return {
            member.name: member.read(value[member.key], member.name, problems)
            for member in members
            if value.get(member.key) is not None
        }

    return read


def _json(body: bytes) -> Any:  # noqa: ANN401  JSON is any value
    if not body:
        return {}
    try:
        return json.loads(body, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise AwsError("SerializationException", "The body of the request is not valid JSON") from error


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _of_text(member: _Member, text: str, problems: list[str]) -> Any:  # noqa: ANN401  the shape's own type
    """A value of the path, the query or a header, where everything is text."""
    value: Any = text
    kind = member.shape.type_name
    try:
        if kind == "boolean":
            value = {"true": True, "false": False}[text.lower()]
        elif kind in {"integer", "long"}:
            value = int(text)
        elif kind in {"float", "double"}:
            value = float(text)
        elif kind == "timestamp":
            value = timestamp(float(text) if text.replace(".", "", 1).isdigit() else text)
        elif member.shape.serialization.get("jsonvalue"):
            value = base64.b64decode(text, validate=True).decode()
    except (KeyError, ValueError, binascii.Error):
        problems.append(problem(text, member.name, f"Member must be of the type {kind}"))
        return None
    return member.read(value, member.name, problems)


@functools.cache
def _statuses(service: str) -> dict[str, int]:
    statuses: dict[str, int] = {}
    for shape in service_model(service).error_shapes:
        status = shape.metadata.get("error", {}).get("httpStatusCode")
        statuses[shape.metadata.get("error", {}).get("code", shape.name)] = status or (
            500 if shape.metadata.get("fault") else 400
        )
    return statuses


def _refusal(model: ServiceModel) -> str:
    """The error of a service for a bad request, where an operation declares none."""
    declared = {shape.name for shape in model.error_shapes}
    return next((code for code in _REFUSALS if code in declared), "ValidationException")
