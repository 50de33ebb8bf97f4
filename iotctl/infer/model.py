"""A model file: name, version, inputs, outputs, digest; and what is refused before anything is sent anywhere.

A model is data from somebody else that devices will run. So only single-file ONNX is taken, recognised by its content;
pickles, weights in other files and operators that need a library of code are refused here, and again on the device.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from iotctl.errors import Integrity, Local, NotFound, Usage
from iotctl.infer import onnx
from iotctl.semantics.versions import Version, VersionError

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
_MOST_LABELS: Final = 100_000
_LONGEST_LABEL: Final = 256
_LARGEST_SAMPLE: Final = 64 * 1024 * 1024
_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Model:
    """A model that may be sent to a device.

    Attributes:
        name: a topic level: letters, digits, `_` and `-`.
        release: a semantic version, the component's.
        path: the file.
        sha256: of the file, hex.
        size: bytes.
        inputs: what it takes.
        outputs: what it gives.
        labels: one for each class; empty where there are none.
        sample: an input to try it with.
        sample_name: of the file that the sample came from: its suffix says how to read it.

    """

    name: str
    release: str
    path: Path
    sha256: str
    size: int
    inputs: tuple[onnx.Tensor, ...]
    outputs: tuple[onnx.Tensor, ...]
    labels: tuple[str, ...] = ()
    sample: bytes | None = None
    sample_name: str = ""

    def __str__(self) -> str:
        """The model as people name it."""
        return f"{self.name} {self.release} ({self.sha256[:12]})"


def read(path: Path, *, name: str, release: str, labels: str | None = None, sample: str | None = None) -> Model:
    """Read a model, and what comes with it.

    Args:
        path: the ONNX file.
        name: of the model.
        release: its version.
        labels: a file with one label a line, in the order of the classes.
        sample: a file with one input.

    Raises:
        Integrity: it is not a model that is sent to a device (exit 9), with the reason.
        Usage: the name, the release, the labels or the sample cannot be used. NotFound: there is no such file.

    """
    if not _NAME.fullmatch(name):
        raise Usage(f"the model name {name!r} is not 1 to 100 letters, digits, _ and -", hint="--name digits")
    try:
        Version.parse(release)
    except VersionError as error:
        raise Usage(f"--release: {error}", hint="--release 1.0.0") from error
    with _mapped(path) as content:
        try:
            described = onnx.read(content)
        except onnx.Refused as error:
            raise Integrity(
                f"{path} is not sent to a device: {error}",
                code="UnsafeModel",
                hint="only single-file ONNX is taken: export the model to ONNX, its weights inside",
                on=str(path),
            ) from error
        digest, size = hashlib.sha256(content).hexdigest(), len(content)
    return Model(
        name,
        release,
        path,
        digest,
        size,
        described.inputs,
        described.outputs,
        _labels(Path(labels)) if labels else (),
        _bytes(Path(sample), _LARGEST_SAMPLE) if sample else None,
        Path(sample).name if sample else "",
    )


@contextlib.contextmanager
def _mapped(path: Path) -> Iterator[memoryview]:
    """The file's bytes without reading them all into memory."""
    try:
        if not path.is_file():
            raise NotFound(f"there is no file {path}", on=str(path))
        with path.open("rb") as file:
            if not path.stat().st_size:
                raise Integrity(f"{path} is empty: it is no model", code="UnsafeModel", on=str(path))
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            view = memoryview(content)
            try:
                yield view
            finally:
                # Views into it that an error's traceback still holds go, and the mapping with them, when that does.
                with contextlib.suppress(BufferError):
                    view.release()
                    content.close()
    except OSError as error:
        raise Local(f"{path} cannot be read: {error.strerror}", on=str(path)) from error


def _labels(path: Path) -> tuple[str, ...]:
    try:
        lines = _bytes(path, _MOST_LABELS * _LONGEST_LABEL).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise Usage(f"{path} is not UTF-8 text", on=str(path)) from error
    while lines and not lines[-1].strip():
        lines.pop()
    for number, line in enumerate(lines, 1):
        fault = _fault(line)
        if fault:
            raise Usage(
                f"{path}:{number}: the label {fault}",
                hint="one label a line, in the order of the classes",
                on=str(path),
            )
    if not lines or len(lines) > _MOST_LABELS:
        raise Usage(f"{path} has {len(lines):,} labels, not 1 to {_MOST_LABELS:,}", on=str(path))
    return tuple(line.strip() for line in lines)


def _fault(label: str) -> str:
    if not label.strip():
        return "is empty"
    if len(label) > _LONGEST_LABEL:
        return f"has more than {_LONGEST_LABEL} characters"
    return "has control characters" if _UNSAFE.search(label) else ""


def _bytes(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}", on=str(path)) from error
    except OSError as error:
        raise Usage(f"{path} cannot be read: {error.strerror}", on=str(path)) from error
    if len(content) > most:
        raise Usage(f"{path} has more than {most:,} bytes", on=str(path))
    return content
