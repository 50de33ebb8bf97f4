"""Render ../templates: the one door to jinja2.

Values are data, never template source, and cannot change a document's shape.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any, Final

import jinja2
import jinja2.meta
import jinja2.sandbox

from iotctl import text
from iotctl.errors import NotFound, Usage

# In a wheel the templates are inside the package; in a checkout they stand beside it.
_PACKAGED: Final = Path(__file__).with_name("templates")
ROOT: Final = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parent.parent / "templates"

_LARGEST: Final = 65536


@functools.cache
def names(kind: str) -> tuple[str, ...]:
    """The templates of a kind that ship: ("greengrass-core", "thing") for "policies"."""
    return tuple(sorted(path.name.removesuffix(".json.j2") for path in (ROOT / kind).glob("*.json.j2")))


def render_json(kind: str, name: str, **values: str) -> dict[str, Any]:
    """A JSON document from a template that ships.

    Raises:
        NotFound: there is no such template.

    """
    return render_file(shipped(kind, name), **values)


def shipped(kind: str, name: str) -> Path:
    """The file of a template that ships.

    Raises:
        NotFound: there is no such template.

    """
    if name not in names(kind):
        known = ", ".join(names(kind))
        raise NotFound(f"there is no template {name!r} in {kind}", hint=f"one of {known}; or give a file")
    return ROOT / kind / f"{name}.json.j2"


def variables(path: Path) -> frozenset[str]:
    """The values that a template file asks for.

    Raises:
        Usage: it is no template that can be read.

    """
    try:
        source = path.read_text(encoding="utf-8")
        return frozenset(jinja2.meta.find_undeclared_variables(_environment().parse(source)))
    except (jinja2.TemplateError, UnicodeDecodeError) as error:
        raise Usage(f"{path} cannot be rendered: {text.sanitize(str(error))}", on=str(path)) from error
    except OSError as error:
        raise Usage(f"{path} cannot be read: {error.strerror}", on=str(path)) from error


def render_file(path: Path, **values: str) -> dict[str, Any]:
    """A JSON document from a template file of the operator's.

    Every value is escaped for the inside of a JSON string, and the document must have the same keys and the same
    shape as with harmless values: so no value can add a statement or an action.

    Raises:
        Usage: the template is not usable, names a value that is not given, or its result is not a JSON object.

    """
    try:
        template = _environment().from_string(path.read_text(encoding="utf-8"))
        rendered = template.render(values)
        harmless = template.render(dict.fromkeys(values, "x"))
    except (jinja2.TemplateError, UnicodeDecodeError) as error:
        raise Usage(f"{path} cannot be rendered: {text.sanitize(str(error))}", on=str(path)) from error
    except OSError as error:
        raise Usage(f"{path} cannot be read: {error.strerror}", on=str(path)) from error
    if len(rendered) > _LARGEST:
        raise Usage(f"{path} renders to {len(rendered)} characters, more than {_LARGEST}", on=str(path))
    document = text.loads(rendered, name=str(path))
    if not isinstance(document, dict):
        raise Usage(f"{path} does not render to a JSON object", on=str(path))
    if _shape(document) != _shape(text.loads(harmless, name=str(path))):
        raise Usage(f"{path}: a value changes the shape of the document", on=str(path))
    return document


def render_page(kind: str, name: str, **values: Any) -> str:  # noqa: ANN401  what the template goes through
    """An HTML page from a template that ships: every value is text in it, whatever it holds.

    Its style and its script may be named by their digests in its Content-Security-Policy (the filter `sha256`), so
    that a browser runs nothing else.
    """
    template = _pages().from_string((ROOT / kind / f"{name}.html.j2").read_text(encoding="utf-8"))
    return template.render(values)


def archive(kind: str, name: str) -> bytes:
    """A package of Python files that ships, as a zip that Python imports from.

    The same files are the same bytes on every machine: no times, nothing compressed (zlib's versions differ).
    """
    place = ROOT / kind
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as content:
        for path in sorted((place / name).rglob("*.py")):
            entry = zipfile.ZipInfo(path.relative_to(place).as_posix(), (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            content.writestr(entry, path.read_bytes())
    return written.getvalue()


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.sandbox.ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        finalize=_escaped,
        keep_trailing_newline=True,
    )


@functools.cache
def _pages() -> jinja2.Environment:
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined, autoescape=True, keep_trailing_newline=True
    )
    environment.filters["sha256"] = lambda value: base64.b64encode(hashlib.sha256(value.encode()).digest()).decode()
    return environment


def _escaped(value: object) -> str:
    return json.dumps(str(value))[1:-1]


def _shape(value: object) -> object:
    if isinstance(value, dict):
        return {key: _shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shape(item) for item in value]
    return type(value).__name__
