"""Inputs that are worth labelling go back to the cloud: to a spool on disk first, from there to S3, with a manifest.

Statuses and their topics are those of AWS's machine learning feedback connector (the Greengrass v1 developer guide); a
manifest has one JSON object a line with `source-ref`, as Ground Truth reads it (the SageMaker developer guide,
sms-input-data-input-manifest).
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Callable

from inference.log import say
from inference.s3 import Bucket, Failed

if TYPE_CHECKING:
    from inference.configuration import Feedback

_TYPES = {
    ".json": "application/json",
    ".csv": "text/csv",
    ".npy": "application/octet-stream",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
}
_FIRST = ((b"\x89PNG", ".png"), (b"\xff\xd8\xff", ".jpg"), (b"\x93NUMPY", ".npy"), (b"[", ".json"), (b"{", ".json"))
_LINES = 100
_RETRY_SECONDS = (5.0, 60.0)

Say = Callable[[str, bytes], None]


class Spool:
    """Samples on disk, in the order they were taken, bounded; the oldest go first.

    Attributes:
        dropped: how many had to go.

    """

    def __init__(self, directory: str, most_bytes: float) -> None:
        self._place, self._most = directory, most_bytes
        self._lock = threading.Lock()
        os.makedirs(directory, mode=0o700, exist_ok=True)
        self._sizes: dict[str, int] = {}
        for name in sorted(os.listdir(directory)):
            if name.endswith(".meta"):
                self._sizes[name[:-5]] = self._size(name[:-5])
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._sizes)

    def add(self, name: str, payload: bytes, prediction: bytes) -> None:
        """Keep a sample; its prediction is written last and makes it whole."""
        with self._lock:
            while self._sizes and sum(self._sizes.values()) + len(payload) + len(prediction) > self._most:
                self._remove(next(iter(self._sizes)))
                self.dropped += 1
            _write(self._path(name), payload)
            _write(self._path(name + ".meta"), prediction)
            self._sizes[name] = len(payload) + len(prediction)

    def names(self) -> list[str]:
        """Of the samples, the oldest first."""
        with self._lock:
            return list(self._sizes)

    def read(self, name: str) -> tuple[bytes, dict[str, Any]]:
        """A sample and its prediction.

        Raises:
            OSError: it went meanwhile. ValueError: it is damaged.

        """
        with open(self._path(name), "rb") as file:
            payload = file.read()
        with open(self._path(name + ".meta"), "rb") as file:
            prediction: dict[str, Any] = json.loads(file.read())
        return payload, prediction

    def remove(self, name: str) -> None:
        """It is where it belongs."""
        with self._lock:
            self._remove(name)

    def _remove(self, name: str) -> None:
        self._sizes.pop(name, None)
        for path in (self._path(name + ".meta"), self._path(name)):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def _size(self, name: str) -> int:
        with contextlib.suppress(OSError):
            return os.path.getsize(self._path(name)) + os.path.getsize(self._path(name + ".meta"))
        return 0

    def _path(self, name: str) -> str:
        return os.path.join(self._place, name)


class Uploader:
    """Takes samples from the spool to S3, on a thread of its own, and goes on after every failure."""

    def __init__(self, settings: Feedback, thing_name: str, work: str, say: Say) -> None:
        self.spool = Spool(os.path.join(work, "feedback"), settings.spool_mb * (1 << 20))
        self._settings, self._thing_name, self._tell = settings, thing_name, say
        self._bucket = Bucket(settings.bucket)
        self._manifest_path = os.path.join(work, "manifest.jsonl")
        self._more, self._stopping = threading.Event(), threading.Event()
        self._flushed = time.monotonic()
        self._thread = threading.Thread(target=self._carry, name="feedback", daemon=True)
        self._thread.start()

    def take(self, payload: bytes, file_name: str, prediction: bytes) -> None:
        """A sample that the strategy chose."""
        found = json.loads(prediction)
        name = f"{found['timestamp'].replace(':', '')}-{found['bootId']}-{found['seq']}{suffix(payload, file_name)}"
        self.spool.add(name, payload, prediction)
        self._more.set()

    def leave_out(self, prediction: bytes) -> None:
        """A sample that the strategy did not choose."""
        if self._settings.dropped:
            found = json.loads(prediction)
            self._status(found, {"status": "sample_dropped_by_strategy"})

    def stop(self, seconds: float) -> None:
        """Write the manifest of what is up, and end."""
        self._stopping.set()
        self._more.set()
        self._thread.join(seconds)

    def _carry(self) -> None:
        pause = _RETRY_SECONDS[0]
        while not self._stopping.is_set():
            self._more.wait(self._settings.flush_seconds / 4)
            self._more.clear()
            try:
                self._upload_all()
                self._flush(whole=False)
                pause = _RETRY_SECONDS[0]
            except Failed as error:
                say(f"feedback waits ({len(self.spool)} samples): {error}")
                self._stopping.wait(pause)
                pause = min(pause * 2, _RETRY_SECONDS[1])
                self._more.set()
        with contextlib.suppress(Failed):
            self._flush(whole=True)

    def _upload_all(self) -> None:
        for name in self.spool.names():
            if self._stopping.is_set():
                return
            try:
                payload, prediction = self.spool.read(name)
            except (OSError, ValueError):
                self.spool.remove(name)
                continue
            model = prediction["modelName"]
            key = f"{self._settings.prefix}/{model}/{self._thing_name}/{name}"
            try:
                self._bucket.put(key, payload, _TYPES.get(os.path.splitext(name)[1], "application/octet-stream"))
            except Failed as error:
                self._status(prediction, {"status": "fail", "error": error.code, "error_message": error.message})
                raise
            line = manifest_line(f"s3://{self._settings.bucket}/{key}", prediction)
            with open(self._manifest_path, "a", encoding="utf-8") as file:
                file.write(line + "\n")
            self.spool.remove(name)
            self._status(prediction, {"status": "success"})
            self._tell(f"{self._settings.topic}/message/prediction", line.encode())
            self._flush(whole=False, model=model)

    def _flush(self, *, whole: bool, model: str = "") -> None:
        """Write the lines so far as a manifest of their own: S3 cannot append."""
        try:
            with open(self._manifest_path, "rb") as file:
                content = file.read()
        except FileNotFoundError:
            self._flushed = time.monotonic()
            return
        lines = content.count(b"\n")
        due = time.monotonic() - self._flushed > self._settings.flush_seconds
        if not lines or not (whole or due or lines >= _LINES):
            return
        model = model or json.loads(content.splitlines()[0])["config-id"]
        stamp = time.strftime("%Y-%m-%dT%H%M%SZ", time.gmtime())
        number = f"{stamp}-{time.time_ns() % 1_000_000_000:09d}"
        key = f"{self._settings.prefix}/{model}/{self._thing_name}/manifests/{number}.manifest"
        self._bucket.put(key, content, "application/jsonlines")
        os.unlink(self._manifest_path)
        self._flushed = time.monotonic()

    def _status(self, prediction: Mapping[str, Any], response: Mapping[str, str]) -> None:
        message = {"response": response, "id": f"{prediction['bootId']}-{prediction['seq']}"}
        self._tell(f"{self._settings.topic}/message/status", json.dumps(message).encode())


def manifest_line(reference: str, prediction: Mapping[str, Any]) -> str:
    """A line of the manifest: where the input is, what the model made of it, and which model it was."""
    kept = ("thingName", "modelVersion", "modelSha256", "bootId", "seq", "timestamp")
    metadata = {"publish-ts": prediction["timestamp"], **{key: prediction[key] for key in kept}}
    return json.dumps(
        {
            "source-ref": reference,
            "model-prediction": prediction["predictions"],
            "config-id": prediction["modelName"],
            "metadata": metadata,
        },
        separators=(",", ":"),
    )


def suffix(payload: bytes, file_name: str) -> str:
    """Of the object's name, so that labelling tools know its type."""
    own = os.path.splitext(file_name)[1].lower()
    if own in _TYPES:
        return own
    return next((kind for first, kind in _FIRST if payload.lstrip()[:8].startswith(first)), ".csv")


def _write(path: str, content: bytes) -> None:
    with open(path + ".new", "wb") as file:
        file.write(content)
    os.replace(path + ".new", path)
