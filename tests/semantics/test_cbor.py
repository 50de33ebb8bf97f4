"""CBOR: RFC 8949's own examples, AWS's own encoder, and bytes that are not CBOR."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

import pytest
from awscrt import cbor as crt
from hypothesis import given
from hypothesis import strategies as st

from iotctl.semantics.cbor import CborError, decode, encode
from tests import vectors

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@vectors.rows(
    ("written", "value"),
    [
        ("00", 0),
        ("17", 23),
        ("1818", 24),
        ("1903e8", 1000),
        ("1bffffffffffffffff", 2**64 - 1),
        ("20", -1),
        ("3903e7", -1000),
        ("fb3ff199999999999a", 1.1),
        ("f4", False),
        ("f6", None),
        ("60", ""),
        ("62c3bc", "ü"),
        ("4401020304", b"\x01\x02\x03\x04"),
        ("83010203", [1, 2, 3]),
        ("a26161016162820203", {"a": 1, "b": [2, 3]}),
        ("826161a161626163", ["a", {"b": "c"}]),
    ],
)
def test_the_examples_of_the_rfc(written: str, value: Any) -> None:
    """RFC 8949, appendix A: the same in both directions."""
    assert (value, written) == (decode(bytes.fromhex(written)), encode(value).hex())


@vectors.rows(
    ("written", "value"),
    [
        ("f93e00", 1.5),
        ("fa47c35000", 100000.0),
        ("f97c00", math.inf),
        ("f7", None),
        ("c074323031332d30332d32315432303a30343a30305a", "2013-03-21T20:04:00Z"),
        ("5f42010243030405ff", b"\x01\x02\x03\x04\x05"),
        ("7f657374726561646d696e67ff", "streaming"),
        ("9f018202039f0405ffff", [1, [2, 3], [4, 5]]),
        ("bf61610161629f0203ffff", {"a": 1, "b": [2, 3]}),
        ("1800", 0),
    ],
)
def test_forms_that_are_read_and_not_written(written: str, value: Any) -> None:
    """Short floats, tags, indefinite lengths and longer heads than needed."""
    assert value == decode(bytes.fromhex(written))


@vectors.rows(
    "written",
    [
        *("", "18", "62c3", "61ff", "8301", "a10102", "a2616101616102", "ff", "fc", "1c", "0000", "5f6161ff"),
        *("5f5f40ffff", "9b00ffffffffffffff", "bf6161", "81" * 40 + "00", "f8ff"),
    ],
)
def test_what_is_no_cbor_is_refused(written: str) -> None:
    """Cut short, of reserved forms, too deep, too long, of keys that are no text or twice: with the same error."""
    with pytest.raises(CborError):
        decode(bytes.fromhex(written))


@given(value=JSON)
def test_what_is_written_is_read_again(value: Any) -> None:
    """Any JSON value, and bytes."""
    assert value == decode(encode(value))


@given(data=st.binary(max_size=60))
def test_any_bytes_are_a_value_or_refused(data: bytes) -> None:
    """Nothing but CborError comes of bytes that a stranger sent."""
    with contextlib.suppress(CborError):
        decode(data)


@given(value=st.dictionaries(st.text(), st.text() | st.integers(-1000, 1000) | st.booleans() | st.none(), max_size=5))
def test_aws_own_codec_agrees(value: dict[str, Any]) -> None:
    """What the runtime of AWS's SDKs writes is read here, and what is written here is read there."""
    encoder = crt.AwsCborEncoder()
    encoder.write_data_item(value)
    assert value == decode(encoder.get_encoded_data())
    assert value == crt.AwsCborDecoder(encode(value)).pop_next_data_item()


def test_what_has_no_cbor_here() -> None:
    """A set, and a number of more than 64 bits."""
    for value in ({1}, 2**64):
        with pytest.raises(CborError):
            encode(value)
    assert {"a": [1, 2]} == json.loads(json.dumps(decode(encode({"a": (1, 2)}))))
