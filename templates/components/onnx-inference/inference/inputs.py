"""The bytes of one input -> the arrays that the model takes: decoded, resized, normalised, in its shape and type."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from inference.configuration import Input

Feed = dict[str, "np.ndarray[Any, Any]"]

_TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
    "tensor(int16)": np.int16,
    "tensor(uint16)": np.uint16,
    "tensor(int32)": np.int32,
    "tensor(uint32)": np.uint32,
    "tensor(int64)": np.int64,
    "tensor(uint64)": np.uint64,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.object_,
}
_PNG, _JPEG, _NUMPY = b"\x89PNG", b"\xff\xd8\xff", b"\x93NUMPY"


class Unusable(ValueError):
    """Why an input cannot be inferred on."""


class Spec(NamedTuple):
    """An input or output of a model, as onnxruntime names it; None is a dimension that is free."""

    name: str
    type: str
    shape: tuple[int | None, ...]

    @property
    def batched(self) -> bool:
        """Its first dimension counts the inputs."""
        return bool(self.shape) and self.shape[0] in {None, 1}

    @property
    def item(self) -> tuple[int | None, ...]:
        """The shape of one input."""
        return self.shape[1:] if self.batched else self.shape


def spec(argument: Any) -> Spec:
    """What onnxruntime tells of an input or an output."""
    shape = tuple(size if isinstance(size, int) and size >= 0 else None for size in argument.shape)
    return Spec(argument.name, argument.type, shape)


def zeros(inputs: Sequence[Spec]) -> Feed:
    """An input of zeros, free dimensions 1."""
    made = {}
    for each in inputs:
        shape = tuple(1 if size is None else size for size in each.shape)
        kind = _dtype(each)
        made[each.name] = np.full(shape, "", dtype=kind) if kind is np.object_ else np.zeros(shape, dtype=kind)
    return made


def decoder(inputs: Sequence[Spec], settings: Input) -> Callable[[bytes], Feed]:
    """A function that decodes one input.

    Raises:
        Unusable: the settings do not fit the model. The function itself raises it for an input that does not.

    """
    parse = _parser(settings.format)
    shapers = {each.name: _shaper(each, settings) for each in inputs}
    features = settings.features
    if features and len(inputs) > 1:
        raise Unusable(f"features name the fields of one input; the model has {len(inputs)}")
    if len(inputs) == 1:
        name = inputs[0].name
        shape = shapers[name]

        def one(payload: bytes) -> Feed:
            value = parse(payload)
            if isinstance(value, dict):
                value = [_field(value, feature) for feature in features] if features else _field(value, name)
            return {name: shape(value)}

        return one

    def several(payload: bytes) -> Feed:
        value = parse(payload)
        if not isinstance(value, dict):
            raise Unusable(f"the model takes {', '.join(shapers)}: give a JSON object with a field for each")
        return {name: shape(_field(value, name)) for name, shape in shapers.items()}

    return several


def _field(value: dict[str, Any], name: str) -> Any:
    if name not in value:
        raise Unusable(f"the field {name!r} is missing; there are {', '.join(map(repr, value)) or 'none'}")
    return value[name]


def _parser(form: str) -> Callable[[bytes], Any]:
    known: dict[str, Callable[[bytes], Any]] = {
        "json": _json,
        "csv": _csv,
        "npy": _npy,
        "image": _image,
        "bytes": lambda payload: payload,
        "auto": _auto,
    }
    return known[form]


def _auto(payload: bytes) -> Any:
    first = payload[:1]
    if first in {b"[", b"{"} or payload[:64].lstrip()[:1] in {b"[", b"{"}:
        return _json(payload)
    if payload.startswith((_PNG, _JPEG)):
        return _image(payload)
    return _npy(payload) if payload.startswith(_NUMPY) else _csv(payload)


def _json(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise Unusable(f"it is not JSON: {error}") from None


def _csv(payload: bytes) -> list[str]:
    try:
        return payload.decode("utf-8-sig").strip().split(",")
    except UnicodeDecodeError:
        raise Unusable("it is neither JSON, CSV, .npy, PNG nor JPEG") from None


def _npy(payload: bytes) -> Any:
    try:
        return np.load(io.BytesIO(payload), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise Unusable(f"it is not an array that can be read: {error}") from None


def _image(payload: bytes) -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise Unusable("images need Pillow on the core: pip install pillow (or send arrays as .npy)") from None
    try:
        with Image.open(io.BytesIO(payload), formats=("PNG", "JPEG")) as image:
            return np.asarray(image.convert("L" if image.mode in {"1", "L"} else "RGB"))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise Unusable(f"it is not an image that can be read: {error}") from None


def _shaper(spec: Spec, settings: Input) -> Callable[[Any], Any]:
    """A function from a decoded value to the array that the model takes."""
    kind = _dtype(spec)
    target, fixed = _target(spec)
    picture = _picture(spec, settings)
    normal = _normaliser(settings, picture)

    def shape(value: Any) -> Any:
        try:
            array = np.frombuffer(value, kind) if isinstance(value, bytes) else np.asarray(value)
            if picture:
                array = picture.prepare(array)
            if normal:
                array = normal(array)
            if picture and picture.channels_first:
                array = np.moveaxis(array, -1, 0)
            return _cast(array, kind).reshape(target) if fixed else _fitted(_cast(array, kind), spec)
        except (ValueError, TypeError, OverflowError) as error:
            raise Unusable(f"it does not fit {spec.name} {list(spec.shape)} of {spec.type}: {error}") from None

    def plain(value: Any) -> Any:
        try:
            return np.array(value, kind).reshape(target)
        except (ValueError, TypeError, OverflowError) as error:
            raise Unusable(f"it does not fit {spec.name} {list(spec.shape)} of {spec.type}: {error}") from None

    simple = fixed and not picture and not normal and np.dtype(kind).kind == "f" and settings.format != "bytes"
    return plain if simple else shape


def _target(spec: Spec) -> tuple[tuple[int, ...], bool]:
    """The array's shape for one input, and whether all of it is known."""
    sizes = ((1, *spec.item) if spec.batched else spec.shape) or ()
    return tuple(size or 0 for size in sizes), None not in sizes


def _fitted(array: Any, spec: Spec) -> Any:
    """For a model with free dimensions: the input's own shape."""
    if spec.batched and array.ndim == len(spec.shape) - 1:
        return array[np.newaxis]
    if array.ndim != len(spec.shape):
        raise ValueError(f"it has {array.ndim} dimensions")
    return array


def _cast(array: Any, kind: Any) -> Any:
    """The array in the model's type; a fraction is never cut off silently, nor a number wrapped around."""
    if array.dtype.kind in "US" and np.dtype(kind).kind in "fiu":
        array = array.astype(np.float64)
    if np.dtype(kind).kind in "iu" and array.dtype.kind in "fiu":
        limits = np.iinfo(kind)
        if array.size and not (limits.min <= array.min() and array.max() <= limits.max):
            raise ValueError(f"a number is outside of {limits.min} to {limits.max}")
        if array.dtype.kind == "f" and not np.array_equal(array, np.trunc(array)):
            raise ValueError("it has fractions")
    return np.ascontiguousarray(array, dtype=kind)


class _Picture(NamedTuple):
    """What an image model takes."""

    height: int | None
    width: int | None
    channels: str
    channels_first: bool
    floating: bool

    def prepare(self, array: Any) -> Any:
        """Height, width, channels: of the right size and order."""
        if array.ndim == 2:
            array = array[:, :, np.newaxis]
        if array.ndim != 3:
            raise ValueError(f"an image has 2 or 3 dimensions, not {array.ndim}")
        if self.channels == "L" and array.shape[2] == 3:
            array = array @ np.array([0.299, 0.587, 0.114])  # ITU-R 601, as Pillow's own conversion
            array = array[:, :, np.newaxis]
        elif self.channels != "L" and array.shape[2] == 1:
            array = np.repeat(array, 3, axis=2)
        if self.channels == "BGR":
            array = array[:, :, ::-1]
        if self.height and self.width and array.shape[:2] != (self.height, self.width):
            array = resized(array, self.height, self.width)
        return array if self.floating else np.rint(array)


def _picture(spec: Spec, settings: Input) -> _Picture | None:
    """How this input is an image, where it is one: three dimensions an item, one of them 1 or 3 channels."""
    item = spec.item
    asked = bool(settings.resize or settings.channels or settings.layout or settings.format == "image")
    looks = settings.format == "auto" and len(item) == 3 and bool({item[0], item[-1]} & {1, 3})
    if len(item) != 3 or not (asked or looks):
        return None
    first = settings.layout == "NCHW" if settings.layout else item[0] in {1, 3}
    count, height, width = (item[0], item[1], item[2]) if first else (item[2], item[0], item[1])
    if settings.resize:
        height, width = int(settings.resize[0]), int(settings.resize[1])
    channels = settings.channels or ("L" if count == 1 else "RGB")
    return _Picture(height, width, channels, first, np.dtype(_dtype(spec)).kind == "f")


def resized(array: Any, height: int, width: int) -> Any:
    """An image (height, width, channels) of another size, bilinear, pixel centres aligned as OpenCV and Pillow do."""
    rows, row_weights = _between(array.shape[0], height)
    columns, column_weights = _between(array.shape[1], width)
    values = array.astype(np.float32)
    weights = row_weights[:, np.newaxis, np.newaxis]
    lines = values[rows[0]] * (1 - weights) + values[rows[1]] * weights
    weights = column_weights[np.newaxis, :, np.newaxis]
    return lines[:, columns[0]] * (1 - weights) + lines[:, columns[1]] * weights


def _between(before: int, after: int) -> tuple[tuple[Any, Any], Any]:
    """For each place of the new axis the two old ones around it, and the weight of the second."""
    centres = np.clip((np.arange(after, dtype=np.float32) + 0.5) * (before / after) - 0.5, 0, before - 1)
    low = centres.astype(np.intp)
    return (low, np.minimum(low + 1, before - 1)), centres - low


def _normaliser(settings: Input, picture: _Picture | None) -> Callable[[Any], Any] | None:
    if settings.scale == 1.0 and not settings.mean and not settings.std:
        return None
    mean = np.array(settings.mean or (0.0,), np.float32)
    std = np.array(settings.std or (1.0,), np.float32)
    allowed = {1} if not picture else {1, 1 if picture.channels == "L" else 3}
    if picture and not {len(mean), len(std)} <= allowed:
        raise Unusable(f"mean and std have one number, or one for each of {picture.channels}")

    def normal(array: Any) -> Any:
        return (array.astype(np.float32) * settings.scale - mean) / std

    return normal


def _dtype(spec: Spec) -> Any:
    if spec.type not in _TYPES:
        raise Unusable(f"the input {spec.name} is of the type {spec.type}, which is not known here")
    return _TYPES[spec.type]
