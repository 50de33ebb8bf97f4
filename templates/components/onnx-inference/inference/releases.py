"""The releases of a model on this core's disk: each a directory of its own, whole or not there; which one runs.

A component's artifacts go away with its version. What runs is kept here, so that the release before is still there when
a new one is no good, whatever became of the component that brought it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from typing import Any, NamedTuple

from inference.configuration import Configuration, Wrong, parse

_CONFIGURATION, _MODEL, _LABELS, _SAMPLE, _STATE = "configuration.json", "model.onnx", "labels.txt", "sample", "state"


class Damaged(Exception):
    """A release's files are not what they must be."""


class Release(NamedTuple):
    """One model as it is to run.

    Attributes:
        id: of the files and settings together.
        path: of its directory.

    """

    id: str
    path: str
    configuration: Configuration

    @property
    def document(self) -> Mapping[str, Any]:
        """Its settings as they were given."""
        return self.configuration.document

    @property
    def model_path(self) -> str:
        """Of the ONNX file."""
        return os.path.join(self.path, _MODEL)

    @property
    def sample_path(self) -> str:
        """Of an input to try it with; empty where there is none."""
        path = os.path.join(self.path, _SAMPLE)
        return path if os.path.exists(path) else ""

    def labels(self) -> list[str]:
        """One for each class."""
        with contextlib.suppress(FileNotFoundError), open(os.path.join(self.path, _LABELS), encoding="utf-8") as file:
            return file.read().splitlines()
        return []


class Releases:
    """The releases under a directory."""

    def __init__(self, directory: str, thing_name: str) -> None:
        self._place = directory
        self._thing_name = thing_name
        os.makedirs(directory, mode=0o700, exist_ok=True)

    def keep(self, configuration: Configuration, artifacts: str) -> Release:
        """Copy a release's files in, checked.

        Raises:
            Damaged: a file is missing, or the model's is not the one that was meant.

        """
        model = configuration.model
        wanted = ((model.file, _MODEL), (model.labels, _LABELS), (model.sample, _SAMPLE))
        document = json.dumps(configuration.document, sort_keys=True).encode()
        digest = hashlib.sha256(document)
        making = tempfile.mkdtemp(prefix="making-", dir=self._place)
        try:
            for name, kept in wanted:
                if name:
                    content = _read(os.path.join(artifacts, name))
                    _check(kept, content, model.sha256)
                    digest.update(hashlib.sha256(content).digest())
                    _write(os.path.join(making, kept), content)
            _write(os.path.join(making, _CONFIGURATION), document)
            identity = f"{model.release or 'model'}-{digest.hexdigest()[:12]}"
            path = os.path.join(self._place, identity)
            if not os.path.isdir(path):
                os.rename(making, path)
        finally:
            shutil.rmtree(making, ignore_errors=True)
        return Release(identity, path, configuration)

    def current(self) -> Release | None:
        """The release that ran last, if its files are all right."""
        return self._open(self._state().get("current", ""))

    def previous(self) -> Release | None:
        """The one before."""
        return self._open(self._state().get("previous", ""))

    def adopt(self, release: Release) -> None:
        """This one runs now; only it and the one before are kept."""
        state = self._state()
        if state.get("current") != release.id:
            state = {"current": release.id, "previous": state.get("current", "")}
        self._write_state(state)

    def give_up(self) -> Release | None:
        """Go back: the previous release is current again, and the one that was current is forgotten."""
        before = self.previous()
        if before:
            self._write_state({"current": before.id, "previous": ""})
        return before

    def _write_state(self, state: Mapping[str, str]) -> None:
        path = os.path.join(self._place, _STATE)
        _write(path + ".new", json.dumps(state).encode())
        os.replace(path + ".new", path)
        for name in set(os.listdir(self._place)) - {_STATE, *state.values()}:
            shutil.rmtree(os.path.join(self._place, name), ignore_errors=True)

    def _state(self) -> dict[str, str]:
        with contextlib.suppress(Damaged, ValueError):
            found = json.loads(_read(os.path.join(self._place, _STATE)))
            if isinstance(found, dict):
                return found
        return {}

    def _open(self, identity: str) -> Release | None:
        path = os.path.join(self._place, identity)
        if not identity or not os.path.isdir(path):
            return None
        try:
            text = _read(os.path.join(path, _CONFIGURATION)).decode()
            configuration = parse(text, self._thing_name)
            _check(_MODEL, _read(os.path.join(path, _MODEL)), configuration.model.sha256)
        except (OSError, Damaged, Wrong, UnicodeDecodeError):
            return None
        return Release(identity, path, configuration)


def _check(kept: str, content: bytes, sha256: str) -> None:
    actual = hashlib.sha256(content).hexdigest()
    if kept == _MODEL and actual != sha256:
        raise Damaged(f"the model's file has the SHA-256 {actual}, not {sha256}")


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise Damaged(f"{path} cannot be read: {error.strerror}") from error


def _write(path: str, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
