"""Values are data, never template source, and cannot change a document's shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl import templates
from iotctl.errors import NotFound, Usage

if TYPE_CHECKING:
    from pathlib import Path

_HOSTILE = (
    'a"],"Effect":"Allow","Action":"*","Resource":["*',
    '"}]},{"Effect":"Allow',
    "{{ 7 * 7 }}",
    "{% for x in range(9) %}x{% endfor %}",
    "\\",
    '\\"',
    "\n\0\x1b[31m",
    "${iot:Connection.Thing.ThingName}",
)


def _shape(value: object) -> object:
    """Keys, lengths, effects and actions; other texts do not matter."""
    if isinstance(value, dict):
        return {key: item if key in {"Effect", "Action"} else _shape(item) for key, item in value.items()}
    return [_shape(item) for item in value] if isinstance(value, list) else type(value)


@pytest.mark.parametrize("name", templates.names("policies"))
@given(value=st.text() | st.sampled_from(_HOSTILE))
def test_no_value_changes_what_a_policy_allows(name: str, value: str) -> None:
    """Whatever an account, a region or a partition were, keys, effects and actions stay those of the template."""
    harmless = templates.render_json("policies", name, partition="aws", region="x", account="1")
    hostile = templates.render_json("policies", name, partition=value, region=value, account=value)
    assert _shape(harmless) == _shape(hostile)


@pytest.mark.parametrize("value", _HOSTILE)
def test_a_hostile_value_comes_out_as_it_went_in(tmp_path: Path, value: str) -> None:
    """It is the inside of one JSON string, character for character."""
    template = tmp_path / "p.json.j2"
    template.write_text('{"Resource": "arn:{{ name }}"}')
    assert {"Resource": f"arn:{value}"} == templates.render_file(template, name=value)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{{ missing }}", "'missing' is undefined"),
        ("{% if %}", "Expected an expression"),
        ("{{ name.__class__.__mro__ }}", "unsafe"),
        ('{"a": {{ name }}}', "not usable JSON"),
        ("[1]", "JSON object"),
        ('{"a": 1, "a": 2}', "stands twice"),
        ('{"a": "{{ "x" * 70000 }}"}', "more than 65536"),
        ('{% if name == "evil" %}{"Effect": "Allow", "Extra": 1}{% else %}{"Effect": "Allow"}{% endif %}', "shape"),
        ('{% if name == "evil" %}{}{% else %}no JSON{% endif %}', "not usable JSON"),
    ],
)
def test_a_template_that_is_not_usable_is_told(tmp_path: Path, source: str, reason: str) -> None:
    """With its file, as wrong input; no traceback of the template engine."""
    template = tmp_path / "p.json.j2"
    template.write_text(source, encoding="utf-8")
    with pytest.raises(Usage, match=reason) as caught:
        templates.render_file(template, name="evil")
    assert str(template) in caught.value.message


def test_a_template_that_is_not_there(tmp_path: Path) -> None:
    """A name that does not ship lists those that do; a path outside is never read."""
    with pytest.raises(NotFound, match="no template") as caught:
        templates.render_json("policies", "../policies/thing")
    assert "one of greengrass-core, thing; or give a file" == caught.value.hint
    with pytest.raises(Usage, match="cannot be read"):
        templates.render_file(tmp_path / "none.json")


def test_rendering_is_deterministic() -> None:
    """The same values are the same document, and the policies that ship are whole."""
    values = {"partition": "aws", "region": "eu-west-1", "account": "123456789012"}
    for name in templates.names("policies"):
        document = templates.render_json("policies", name, **values)
        assert document == templates.render_json("policies", name, **values)
        assert "2012-10-17" == document["Version"]
        assert "{{" not in str(document)
