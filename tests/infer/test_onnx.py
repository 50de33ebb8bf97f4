"""What an ONNX file says of itself, and what is refused, out of its bytes alone."""

from __future__ import annotations

import pickle
import sys
import zipfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl.infer import onnx
from tests.infer import models

if TYPE_CHECKING:
    from collections.abc import Callable

sys.path.insert(0, str(Path(__file__).parents[2] / "templates" / "components" / "onnx-inference"))
from inference import safety

GOOD = models.linear()


def on_device(content: bytes) -> str:
    """Why the inference program's own check refuses a file; nothing where it does not."""
    try:
        safety.check(content)
    except safety.Unsafe as error:
        return str(error)
    return ""


def refused(content: bytes) -> str:
    """Why a file is refused here; nothing where it is not."""
    try:
        onnx.read(content)
    except onnx.Refused as error:
        return str(error)
    return ""


def test_inputs_and_outputs_are_read_without_the_onnx_package() -> None:
    """Names, types, sizes; a free dimension has its name, or none; weights are no inputs."""
    found = onnx.read(GOOD)
    assert (["x float[?, 3]"], ["p float[?, 3]"]) == ([str(one) for one in found.inputs], [str(found.outputs[0])])
    named = models.model([], inputs=[models.floats("image", "batch", 3, 8)], outputs=[models.floats("image", 1)])
    assert ["image float[batch, 3, 8]"] == [str(one) for one in onnx.read(named.SerializeToString()).inputs]
    with_weights = models.model(
        [],
        inputs=[models.floats("x", 1), models.floats("w", 1)],
        outputs=[models.floats("x", 1)],
        weights=[models.weight("w", 1.0)],
    )
    assert ["x"] == [one.name for one in onnx.read(with_weights.SerializeToString()).inputs]


def test_the_shipped_models_are_good() -> None:
    """Those of the demo."""
    place = Path(onnx.__file__).parents[1] / "local"
    for path in sorted(place.glob("*.onnx")):
        assert ["pixels float[?, 64]"] == [str(one) for one in onnx.read(path.read_bytes()).inputs]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (pickle.dumps({"model": [1, 2]}), "a Python pickle, which runs code"),
        (b"\x1f\x8b" + b"\0" * 20, "a gzip file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        (b"", "it has no graph"),
        (b"not a model at all", "cannot be read as one"),
        (GOOD[:-5], "cut off"),
        (models.external(), "weights are in other files"),
        (models.of_domain("com.acme.evil"), "operators of the domain 'com.acme.evil'"),
        (models.of_domain("com.acme.evil", nested=True), "operators of the domain 'com.acme.evil'"),
    ],
    ids=["pickle", "gzip", "lfs", "empty", "text", "truncated", "external", "domain", "domain-in-a-branch"],
)
def test_what_is_not_a_safe_model_is_refused_here_and_on_the_device(content: bytes, reason: str) -> None:
    """By content, with the reason; whatever the file is called."""
    assert reason in refused(content)
    assert "" != on_device(content)


def test_a_zip_is_told_as_what_it_is() -> None:
    """PyTorch's files are zips of pickles."""
    written = BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps([1]))
    assert "may hold pickles" in refused(written.getvalue())


@pytest.mark.parametrize("domain", ["", "ai.onnx", "ai.onnx.ml", "com.microsoft"])
def test_the_domains_that_onnxruntime_brings_along_are_good(domain: str) -> None:
    """And no other."""
    assert ("", "") == (refused(models.of_domain(domain)), on_device(models.of_domain(domain)))


def tagged(field: int, payload: bytes, *, extra: int = 0) -> bytes:
    """A field of bytes; `extra` is added to its tag beyond 32 bits, where careless readers do not look."""

    def varint(value: int) -> bytes:
        out = bytearray()
        while value > 0x7F:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        return bytes((*out, value))

    return varint((field << 3 | 2) + (extra << 32)) + varint(len(payload)) + payload


@pytest.mark.parametrize("check", [refused, on_device], ids=["here", "device"])
def test_a_field_cannot_hide_behind_a_tag_of_more_than_32_bits(check: Callable[[bytes], str]) -> None:
    """A reader that keeps 32 bits would find external data where this one saw an unknown field."""
    hidden = tagged(7, tagged(5, tagged(13, b"x", extra=1)) + tagged(12, b""))
    assert "other files" in check(b"\x08\x08" + tagged(7, tagged(5, tagged(13, b"x")) + tagged(12, b"")))
    assert "not an ONNX model" in check(b"\x08\x08" + hidden)


@pytest.mark.parametrize("check", [refused, on_device], ids=["here", "device"])
def test_graphs_within_graphs_have_an_end(check: Callable[[bytes], str]) -> None:
    """A file of a few hundred bytes must not use up the stack."""
    graph = tagged(12, b"")
    for _ in range(300):
        graph = tagged(1, tagged(5, tagged(6, graph)))
    assert "deep" in check(b"\x08\x08" + tagged(7, graph))


def test_a_file_of_millions_of_nodes_is_not_walked_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading it would take minutes."""
    monkeypatch.setattr(onnx, "_MOST_PARTS", 1000)
    assert "more than 1,000 nodes" in refused(b"\x08\x08" + tagged(7, tagged(1, b"") * 2000 + tagged(12, b"")))


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_a_flipped_byte_never_breaks_the_reader(place: int, value: int) -> None:
    """It is a model still, or refused with a reason: nothing else is raised, here or on the device."""
    content = GOOD[:place] + bytes((value,)) + GOOD[place + 1 :]
    refused(content)
    on_device(content)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_with_a_reason(content: bytes) -> None:
    """Bytes of chance are no model."""
    refused(content)
    on_device(content)
