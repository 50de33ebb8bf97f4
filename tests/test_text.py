"""What may reach a terminal or a log, and strict JSON."""

from __future__ import annotations

import json
import logging
import re
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl import text
from iotctl.errors import Usage

_ANY_TEXT = st.text(st.characters(codec=None, categories=None))
_HARMLESS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")))
_SECRET = st.from_regex(r"S3CRET[a-zA-Z0-9/+=]{8,60}", fullmatch=True)
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _HARMLESS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_HARMLESS, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("code", range(0x100))
def test_no_byte_value_reaches_a_terminal_as_a_control(code: int) -> None:
    """Every character of the byte table is itself when printable, and a visible escape else."""
    character = chr(code)
    printable = not unicodedata.category(character).startswith("C")
    assert (character if printable else f"\\x{code:02x}") == text.sanitize(character)


@pytest.mark.parametrize("code", [0x200B, 0x200F, 0x2028, 0x202E, 0x2066, 0xFEFF, 0xFFF9, 0xE0041, 0xD800])
def test_invisible_and_direction_changing_characters_are_shown(code: int) -> None:
    """Zero width, bidirectional, separator, interlinear, tag characters and lone surrogates become escapes."""
    assert (f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}") == text.sanitize(chr(code))


@given(_ANY_TEXT)
def test_sanitized_text_is_safe_and_stays_as_it_is(value: str) -> None:
    """Nothing that drives a terminal is left, sanitising again changes nothing, and something is always shown."""
    safe = text.sanitize(value)
    assert not [one for one in safe if unicodedata.category(one) in {"Cc", "Cs"}]
    assert not re.search("[\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]", safe)
    assert safe == text.sanitize(safe)
    assert bool(value) == bool(safe)


@given(_HARMLESS)
def test_sanitizing_keeps_printable_text(value: str) -> None:
    """Printable text in any script passes unchanged."""
    assert value == text.sanitize(value)


def test_only_multiline_text_keeps_tabs_and_line_feeds() -> None:
    """A log line cannot be forged by a line feed."""
    assert ("a\\x0ab\\x09c", "a\nb\tc") == (text.sanitize("a\nb\tc"), text.sanitize("a\nb\tc", multiline=True))


_PLACES = (
    "AWSAccessKeyId=x&Signature={}&x-amz-security-token=y",
    "https://s3/x?X-Amz-Signature={}&n=1",
    "https://s3/x?n=1&X-Amz-Security-Token={}",
    "Authorization: AWS4-HMAC-SHA256 Credential=x, Signature={}",
    "{{'X-Amz-Security-Token': b'{}'}}",
    '{{"SecretAccessKey": "{}"}}',
    '{{\\"sessionToken\\": \\"{}\\"}}',
    "aws_secret_access_key = {}",
    "-----BEGIN EC PRIVATE KEY-----\n{}\n-----END EC PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\\n{} and the end was cut",
)


@pytest.mark.parametrize("place", _PLACES)
@given(secret=_SECRET, before=_HARMLESS)
def test_redacted_text_holds_no_secret(place: str, secret: str, before: str) -> None:
    """Wherever a signature, a token or a private key stands, it is gone, and redacting again changes nothing."""
    redacted = text.redact(f"{before} {place.format(secret)}")
    assert secret not in redacted
    assert redacted == text.redact(redacted)


def test_access_keys_keep_their_last_four_and_other_text_is_untouched() -> None:
    """An operator can still tell which key it was."""
    assert "key …WXYZ of pump-7" == text.redact("key AKIAIOSFODNN7EXAWXYZ of pump-7")


def test_log_records_are_redacted_and_on_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """The root's log filter takes secrets out of a record, and line feeds."""
    from iotctl import cli

    record = logging.LogRecord("iotctl", logging.INFO, "", 0, "%s", ("Signature=abc\nI forged: this",), None)
    assert cli._redacted(record)
    assert "Signature=[redacted]\\x0aI forged: this" == record.getMessage()


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ('{"a":1,"a":2}', "stands twice"),
        ('{"a":{"b":1,"b":1}}', "stands twice"),
        ("NaN", "NaN is not JSON"),
        ("[-Infinity]", "-Infinity is not JSON"),
        ("1e999", "too large"),
        ('"\\ud800"', "surrogates"),
        ("[" * 100_000, "deep"),
        ("[" * 65 + "]" * 65, "64 levels"),
        ("9" * 5_000, "digits"),
        ("", "Expecting value"),
        (b"\xff", "decode"),
        ("{'a': 1}", "double quotes"),
    ],
)
def test_json_that_is_not_strict_is_refused(document: str | bytes, reason: str) -> None:
    """What other parsers would read differently or fall over is refused with its reason."""
    with pytest.raises(Usage, match=reason):
        text.loads(document)


@given(_JSON)
def test_canonical_json_reads_back(value: Any) -> None:
    """One text for one value: it parses to the value, and to itself again."""
    canonical = text.canonical(value)
    assert value == text.loads(canonical)
    assert json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False) == canonical
    assert canonical == text.canonical(text.loads(json.dumps(value, indent=3)))


@given(_ANY_TEXT | st.binary())
def test_strict_json_fails_in_one_way_only(document: str | bytes) -> None:
    """Any input is a value or a Usage error, never another exception."""
    try:
        text.canonical(text.loads(document)).encode()
    except Usage:
        return


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"21.5 \xc2\xb0C", "21.5 °C"),
        (b"\xff\x00", "<binary, 2 bytes>"),
        (b"\x1b]52;c;x\x07", "\\x1b]52;c;x\\x07"),
        (b"x" * 12, "xxxxxxxxxx… (+2 characters)"),
    ],
)
def test_payloads_are_shown_as_text_or_as_their_size(payload: bytes, expected: str) -> None:
    """A message of a device is sanitised text, cut; or its size where it is no text."""
    assert expected == text.shown(payload, limit=10)


def test_small_words() -> None:
    """Numbers with their nouns, and the word that was probably meant."""
    assert ("1 thing", "1,200 things", "2 policies") == (
        text.count(1, "thing"),
        text.count(1200, "thing"),
        text.count(2, "policy", "policies"),
    )
    assert ("thing_name", "") == (text.nearest("thing-name", ["thing_name"]), text.nearest("zzz", ["thing_name"]))
