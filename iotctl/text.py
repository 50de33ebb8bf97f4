"""What may reach a terminal or a log: sanitise what others wrote, redact what is secret, read JSON strictly."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, Final

from iotctl.errors import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# C0 but TAB and LF, DEL, C1, zero width, bidirectional overrides, separators, interlinear, tags, lone surrogates.
_INVISIBLE: Final = (
    "\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff"
)
_UNSAFE = re.compile(f"[\x00-\x08\x0b-\x1f{_INVISIBLE}]")
_UNSAFE_LINE = re.compile(f"[\x00-\x1f{_INVISIBLE}]")

_SECRETS: Final = (
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    re.compile(
        r"(?i)(?P<keep>\b(?:x-amz-(?:signature|credential|security-token)|signature|awsaccesskeyid"
        r"|aws_?secret_?access_?key|secretaccesskey|aws_?session_?token|sessiontoken)"
        # Quoted as JSON, as Python, as bytes, or as JSON within JSON.
        r"\\?[\"']?\s*[=:]\s*+(?:b?\\?[\"'])?+)(?!\[redacted\])[^\s&\"',;}\\]+"
    ),
    re.compile(r"(?i)(?P<keep>\bauthorization\\?[\"']?\s*[=:]\s*+(?:b?\\?[\"'])?+)(?!\[redacted\])[^\r\n\"'\\]+"),
)
_ACCESS_KEY = re.compile(r"\b(?:AKIA|ASIA|IOTCTLLOCAL)[A-Z0-9]{5,}([A-Z0-9]{4})\b")
_CONTAINERS: Final = (dict, list)


def sanitize(value: str, *, multiline: bool = False) -> str:
    r"""Text that cannot drive a terminal or forge a log line: what could is shown as an escape, `\\x1b`.

    Args:
        value: any text, from a device, a file or a service.
        multiline: keep line feeds; else they are escaped too. Tabs are kept either way only in multiline text.

    """
    pattern = _UNSAFE if multiline else _UNSAFE_LINE
    return pattern.sub(_escape, value)


def redact(value: str) -> str:
    """The same text without private keys, signatures, tokens and secrets; access key ids keep their last four."""
    for pattern in _SECRETS:
        value = pattern.sub(lambda match: f"{match.groupdict().get('keep') or ''}[redacted]", value)
    return _ACCESS_KEY.sub(r"…\1", value)


def shown(payload: bytes, limit: int = 4096) -> str:
    """A message's bytes for a person: text when it is UTF-8, else its size; cut at `limit` characters."""
    try:
        value = payload.decode()
    except UnicodeDecodeError:
        return f"<binary, {len(payload)} bytes>"
    cut = value if len(value) <= limit else f"{value[:limit]}… (+{len(value) - limit} characters)"
    return sanitize(cut)


def loads(document: str | bytes, *, name: str = "input", depth: int = 64) -> Any:  # noqa: ANN401  JSON is any value
    """Strict JSON: no duplicate keys, no NaN or Infinity, no lone surrogates, bounded depth and digits.

    Raises:
        Usage: with the reason and where it is.

    """
    try:
        text = document.decode("utf-8-sig") if isinstance(document, bytes) else document
        value = _STRICT.decode(text)
        if "\\u" in text:
            canonical(value).encode()
    except RecursionError as error:
        raise Usage(f"{name} is not usable JSON: nested too deeply") from error
    except ValueError as error:
        raise Usage(f"{name} is not usable JSON: {sanitize(str(error))}") from error
    if deeper(value, depth):
        raise Usage(f"{name} is not usable JSON: nested more than {depth} levels deep")
    return value


def deeper(value: object, limit: int) -> bool:
    """Whether objects and arrays are nested deeper than so many levels."""
    level = [value] if isinstance(value, _CONTAINERS) else []
    while level:
        if limit <= 0:
            return True
        limit -= 1
        inside = [each.values() if isinstance(each, dict) else each for each in level]
        level = [item for items in inside for item in items if isinstance(item, _CONTAINERS)]
    return False


def document(value: object) -> str:
    """JSON for people and for `jq`: indented, letters of every script as they are, nothing that drives a terminal."""
    written = json.dumps(value, indent=2, ensure_ascii=False)
    return _UNSAFE.sub(lambda match: json.dumps(match.group())[1:-1], written)


def _canonical_writer() -> Callable[[object], str]:
    """What writes canonical JSON; made once, where `json` makes its C part anew for each value (half of the time)."""
    plain = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    make = getattr(json.encoder, "c_make_encoder", None)  # not every Python has it
    if make is None:
        return plain.encode
    write: Callable[[object, int], Iterable[str]] = make(
        None, plain.default, json.encoder.encode_basestring, None, ":", ",", True, False, False
    )
    return lambda value: "".join(write(value, 0))


_CANONICAL: Final = _canonical_writer()


def canonical(value: object) -> str:
    """One text for one JSON value: sorted keys, no white space. What hashes and signatures are made of."""
    return _CANONICAL(value)


def seconds(duration: str) -> float:
    """Seconds of a duration as people type it: `30s`, `10m`, `24h`, `7d`; a bare number is seconds.

    Raises:
        Usage: it is not one.

    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(s|m|h|d|)", duration.strip())
    if not match:
        raise Usage(f"{duration!r} is not a duration", hint="for example 30s, 10m, 24h, 7d")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


def lasting(duration: float) -> str:
    """A number of seconds for a person: `2 h 46 min 40 s`; never less than a second."""
    minutes, rest = divmod(round(duration), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (rest, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "1 s"


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant, or nothing."""
    import difflib

    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)), "")


def count(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: `1 thing`, `1,200 things`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return value


def _constant(word: str) -> float:
    raise ValueError(f"{word} is not JSON")


def _finite(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        raise ValueError(f"{number} is too large a number")
    return value


# One decoder for every document: to make it costs as much as a short document does.
_STRICT: Final = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=_finite)
