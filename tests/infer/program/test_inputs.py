"""The bytes of an input -> what the model takes."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from inference.configuration import Input
from inference.inputs import Spec, Unusable, decoder, resized, zeros
from PIL import Image

ROW = Spec("x", "tensor(float)", (None, 3))
PICTURE = Spec("image", "tensor(float)", (1, 3, 2, 2))
BYTES = Spec("image", "tensor(uint8)", (1, 2, 2, 1))


def decoded(spec: Spec, payload: bytes, **settings: Any) -> Any:
    """The array of one input."""
    return decoder([spec], Input(**settings))(payload)[spec.name]


def png(array: Any) -> bytes:
    """An image file."""
    written = io.BytesIO()
    Image.fromarray(np.asarray(array, np.uint8)).save(written, "PNG")
    return written.getvalue()


def npy(array: Any) -> bytes:
    """NumPy's own file."""
    written = io.BytesIO()
    np.save(written, array)
    return written.getvalue()


@pytest.mark.parametrize(
    "payload",
    [b"[1, 2.5, 3]", b"1,2.5,3", b" 1, 2.5, 3\n", npy(np.array([1, 2.5, 3])), b'{"x": [1, 2.5, 3]}'],
    ids=["json", "csv", "spaces", "npy", "object"],
)
def test_numbers_come_as_json_csv_or_npy(payload: bytes) -> None:
    """Told by their content; a batch of one."""
    assert [[1.0, 2.5, 3.0]] == decoded(ROW, payload).tolist()


def test_features_name_the_fields_in_the_models_order() -> None:
    """The columns of a table, in any order."""
    payload = json.dumps({"c": 3, "a": 1, "b": 2, "more": 9}).encode()
    assert [[1.0, 2.0, 3.0]] == decoded(ROW, payload, features=("a", "b", "c")).tolist()
    with pytest.raises(Unusable, match="the field 'd' is missing"):
        decoded(ROW, payload, features=("a", "b", "d"))


def test_several_inputs_are_an_object_of_them() -> None:
    """Each by its name."""
    decode = decoder([Spec("a", "tensor(float)", (1,)), Spec("b", "tensor(int64)", (1, 2))], Input())
    feed = decode(b'{"a": [0.5], "b": [1, 2]}')
    assert ([0.5], [[1, 2]], np.int64) == (feed["a"].tolist(), feed["b"].tolist(), feed["b"].dtype)
    with pytest.raises(Unusable, match="a field for each"):
        decode(b"[1]")


@pytest.mark.parametrize(
    "payload", [b"[1, 2]", b"[1, 2, 3, 4]", b"a,b,c", b"[[1, 2, 3], [1, 2, 3]]", b"{", b"\xff\xfe\x00"]
)
def test_what_does_not_fit_is_told(payload: bytes) -> None:
    """Never padded, never cut off."""
    with pytest.raises(Unusable):
        decoded(ROW, payload)


def test_no_number_is_cut_off_or_wrapped_around() -> None:
    """A fraction, or 300, is no byte."""
    spec = Spec("x", "tensor(uint8)", (1, 2))
    assert [[1, 255]] == decoded(spec, b"[1, 255]").tolist()
    for payload in (b"[1.5, 2]", b"[1, 300]", b"[-1, 0]"):
        with pytest.raises(Unusable):
            decoded(spec, payload)


def test_raw_bytes_are_numbers_of_the_models_own_type() -> None:
    """As a camera gives them."""
    assert [[1.0, 2.0, 3.0]] == decoded(ROW, np.array([1, 2, 3], np.float32).tobytes(), format="bytes").tolist()


def test_an_image_is_brought_into_the_models_form() -> None:
    """Channels first, resized, scaled, normalised channel by channel; grey becomes three channels."""
    red = np.zeros((4, 4, 3), np.uint8)
    red[:, :, 0] = 255
    found = decoded(PICTURE, png(red), scale=1 / 255, mean=(0.5, 0.5, 0.0), std=(0.5, 0.5, 1.0))
    assert ((1, 3, 2, 2), [1.0, -1.0, 0.0]) == (found.shape, found[0, :, 0, 0].tolist())
    assert [0.0, 0.0, 255.0] == decoded(PICTURE, png(red), channels="BGR")[0, :, 0, 0].tolist()
    grey = decoded(PICTURE, png(np.full((2, 2), 7)))
    assert [7.0, 7.0, 7.0] == grey[0, :, 0, 0].tolist()


def test_an_image_model_of_bytes_gets_bytes() -> None:
    """Channels last, one of them; grey by ITU-R 601, rounded."""
    found = decoded(BYTES, png(np.full((2, 2, 3), (100, 50, 25))))
    assert ((1, 2, 2, 1), np.uint8, 62) == (found.shape, found.dtype, int(found[0, 0, 0, 0]))


def test_resizing_is_bilinear_with_aligned_centres() -> None:
    """As OpenCV does it: the middle of two pixels is their mean."""
    array = np.array([[[0.0], [10.0]], [[20.0], [30.0]]])
    assert [[15.0]] == resized(array, 1, 1)[:, :, 0].tolist()
    assert [[0.0, 2.5, 7.5, 10.0]] == resized(array[:1], 1, 4)[:, :, 0].tolist()
    assert array[:, :, 0].tolist() == resized(array, 2, 2)[:, :, 0].tolist()


def test_free_dimensions_are_the_inputs_own() -> None:
    """And one where there is no input yet."""
    free = Spec("x", "tensor(float)", (None, None, 2))
    assert (1, 3, 2) == decoded(free, b"[[1, 2], [3, 4], [5, 6]]").shape
    assert (1, 1, 2) == zeros([free])["x"].shape
    assert [[""]] == zeros([Spec("t", "tensor(string)", (None, 1))])["t"].tolist()


def test_an_image_that_is_cut_off_is_told() -> None:
    """As an input that cannot be used."""
    broken = png(np.zeros((2, 2)))[:-30]
    with pytest.raises(Unusable, match="not an image"):
        decoded(PICTURE, broken)
