"""S3's XML from botocore's service model: documents read, answers written."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from iotctl.local.services import AwsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botocore.model import Shape, StructureShape

NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"
_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
_CONTROL: Final = re.compile("[\x00-\x1f]")
_ENCODED: Final = frozenset({"Key", "Prefix", "Delimiter", "StartAfter", "KeyMarker", "NextKeyMarker"})
_ROOTS: Final = {
    "CompleteMultipartUpload": "CompleteMultipartUploadResult",
    "CopyObject": "CopyObjectResult",
    "CreateMultipartUpload": "InitiateMultipartUploadResult",
    "DeleteObjects": "DeleteResult",
    "GetBucketLocation": "LocationConstraint",
    "GetBucketVersioning": "VersioningConfiguration",
    "ListBuckets": "ListAllMyBucketsResult",
    "ListMultipartUploads": "ListMultipartUploadsResult",
    "ListObjectsV2": "ListBucketResult",
    "ListParts": "ListPartsResult",
    "UploadPartCopy": "CopyPartResult",
}
"""The root of an operation's answer, which the model does not name; the others answer with headers alone."""


def read(shape: Shape, body: bytes) -> dict[str, Any]:
    """The members of a document.

    Raises:
        AwsError: MalformedXML.

    """
    try:
        text = body.decode()
        if "<!DOCTYPE" in text:
            raise _malformed()
        root = ET.fromstring(text)  # noqa: S314  without a DOCTYPE there are no entities to expand
        found: dict[str, Any] = _read(shape, root)
    except (ET.ParseError, ValueError) as error:
        raise _malformed() from error
    return found


def write(operation: str, shape: StructureShape | None, result: Mapping[str, Any]) -> bytes:
    """The document of a result; empty for an operation that answers with headers alone."""
    root = _ROOTS.get(operation)
    if root is None or shape is None:
        return b""
    # Where a member is named like the root it is the whole answer.
    inner = (
        _content(shape.members[root], result[root], url=False)
        if root in result
        else _content(shape, result, url=result.get("EncodingType") == "url")
    )
    return f'{_DECLARATION}<{root} xmlns="{NAMESPACE}">{inner}</{root}>'.encode()


def _read(shape: Any, element: ET.Element) -> Any:  # noqa: ANN401  any shape of botocore's
    if shape.type_name == "structure":
        return _structure(shape, element)
    if shape.type_name == "list":
        return [_read(shape.member, each) for each in element]
    text = element.text or ""
    if shape.type_name in {"integer", "long"}:
        return int(text)
    return text.strip() == "true" if shape.type_name == "boolean" else text


def _structure(shape: Any, element: ET.Element) -> dict[str, Any]:  # noqa: ANN401  a shape of botocore's
    children: dict[str, list[ET.Element]] = {}
    for child in element:
        children.setdefault(child.tag.rpartition("}")[2], []).append(child)
    found: dict[str, Any] = {}
    for name, member in shape.members.items():
        given = children.get(member.serialization.get("name", name))
        if not given:
            continue
        flat = member.type_name == "list" and member.serialization.get("flattened")
        found[name] = [_read(member.member, each) for each in given] if flat else _read(member, given[0])
    return found


def _content(shape: Any, value: Any, *, url: bool) -> str:  # noqa: ANN401  any shape and its value
    if shape.type_name == "structure":
        written = (
            _member(member.serialization.get("name", name), member, value[name], url=url)
            for name, member in shape.members.items()
            if value.get(name) is not None and "location" not in member.serialization
        )
        return "".join(written)
    if shape.type_name == "timestamp":
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{int(value % 1 * 1000):03d}Z"
    if shape.type_name == "boolean":
        return "true" if value else "false"
    return _CONTROL.sub(lambda found: f"&#x{ord(found[0]):X};", escape(str(value)))


def _member(name: str, shape: Any, value: Any, *, url: bool) -> str:  # noqa: ANN401  any shape and its value
    if shape.type_name == "list":
        if shape.serialization.get("flattened"):
            return "".join(_member(name, shape.member, each, url=url) for each in value)
        inner = shape.member.serialization.get("name", "member")
        return f"<{name}>{''.join(_member(inner, shape.member, each, url=url) for each in value)}</{name}>"
    if url and name in _ENCODED and isinstance(value, str):
        value = quote(value, safe="/-_.~")
    return f"<{name}>{_content(shape, value, url=url)}</{name}>"


def _malformed() -> AwsError:
    message = "The XML you provided was not well-formed or did not validate against our published schema"
    return AwsError("MalformedXML", message)
