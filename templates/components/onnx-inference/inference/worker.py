"""The child process that a model runs in: it loads, tries, and then turns inputs into finished predictions.

It holds the whole loop (decode, run, finish, encode), so that a prediction costs little more than the model itself, and
it holds nothing else: no credentials, no connection, an empty directory, and limits of memory and of CPU time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Callable

import numpy as np

from inference import frames, safety
from inference.configuration import Configuration, Limits, parse
from inference.inputs import Feed, Spec, decoder, spec, zeros
from inference.outputs import Finished, Reader, reader
from inference.sampling import Chooser, chooser

_CHUNK = 1 << 18
_FLUSH_SECONDS = 0.001
_DEATH_SIGNAL, _NO_NEW_PRIVILEGES, _KILL = 1, 38, 9  # prctl(2)


class Refused(Exception):
    """Why a model does not run here."""


def main() -> None:
    """Speak with the agent over the socket whose number is the first argument, until it closes; it is the second."""
    _die_with(int(sys.argv[2]))
    for ending in (signal.SIGTERM, signal.SIGINT):
        # Nucleus lite has systemd end a component: every process of it is told, and this one is the agent's to end,
        # once it has answered what it was given.
        signal.signal(ending, signal.SIG_IGN)
    with contextlib.suppress(BrokenPipeError), socket.socket(fileno=int(sys.argv[1])) as channel:
        unpacker = frames.Unpacker()
        waiting: list[frames.Frame] = []
        while not waiting:
            data = channel.recv(_CHUNK)
            if not data:
                return
            waiting += unpacker.feed(data)
        try:
            loop = _loaded(json.loads(waiting.pop(0)[1]))
        except Exception as error:  # noqa: BLE001  whatever a model makes onnxruntime raise is a reason to refuse it
            channel.sendall(frames.pack(frames.REFUSED, _reason(error).encode()))
            return
        channel.sendall(frames.pack(frames.READY, json.dumps(loop.facts).encode()))
        loop.run(channel, unpacker, waiting)


def _die_with(agent: int) -> None:
    """End when the agent does, from the start.

    onnxruntime writes into HOME as it is imported, and whoever removes that has ended the agent before.
    """
    with contextlib.suppress(OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, _KILL, 0, 0, 0)
    if os.getppid() != agent:
        sys.exit(1)  # it ended before that


def _reason(error: BaseException) -> str:
    words = " ".join(str(error).split()) or type(error).__name__
    return "it needs more memory than it may have" if isinstance(error, MemoryError) else words[:500]


def _loaded(order: Mapping[str, Any]) -> _Loop:
    """Everything ready to run, tried with a sample."""
    configuration = parse(order["configuration"], order["thingName"])
    budget = _confined(configuration.limits)
    session = _session(order["path"], configuration.model.sha256)
    inputs = [spec(argument) for argument in session.get_inputs()]
    outputs = [spec(argument) for argument in session.get_outputs()]
    decode = decoder(inputs, configuration.input)
    feed = decode(_sample(order["sample"])) if order["sample"] else zeros(inputs)
    found = reader(outputs, inputs, configuration.output, order["labels"], session.run(None, feed))
    started = time.perf_counter()
    again = session.run([found.output], feed)
    latency = (time.perf_counter() - started) * 1000
    found.finish(again[0], 0, feed)
    allowed = configuration.limits.latency_ms
    if allowed and latency > allowed:
        raise Refused(f"the canary took {latency:.1f} ms, more than limits.latencyMs {allowed:g}")
    facts = {
        "inputs": [each._asdict() for each in inputs],
        "outputs": [each._asdict() for each in outputs],
        "kind": found.kind,
        "latencyMs": round(latency, 3),
    }
    return _Loop(session, inputs, decode, found, feed, configuration, order, budget, facts)


def _sample(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _session(path: str, sha256: str) -> Any:
    """The model, loaded from its path, after its bytes are known to be the ones that were meant."""
    import onnxruntime

    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise Refused("the model's file is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content, memoryview(content) as view:
            actual = hashlib.sha256(view).hexdigest()
            if actual != sha256:
                raise Refused(f"the model's file has the SHA-256 {actual}, not {sha256}")
            safety.check(view)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _confined(limits: Limits) -> _Budget:
    """Take limits upon itself that it cannot lift; Python, numpy and onnxruntime are in memory already."""
    import onnxruntime  # noqa: F401  its libraries count as the base, not as the model's

    with contextlib.suppress(OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):  # Linux
        with open("/proc/self/statm", encoding="ascii") as file:
            pages = int(file.read().split()[0])
        size = pages * resource.getpagesize() + (limits.memory_mb << 20)
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    budget = _Budget(limits.cpu_seconds)
    budget.renew()
    return budget


class _Budget:
    """CPU seconds that one inference may take: the kernel ends a process that takes more (SIGXCPU).

    The limit counts for the whole process, so it is moved on as time is spent, not before every inference: one may take
    up to twice its budget, and the agent's own timeout stands besides.
    """

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        self._hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        self._renewed = 0.0

    def renew(self) -> None:
        """From now on."""
        used = time.process_time()
        soft = int(used) + 1 + self.seconds
        if self._hard != resource.RLIM_INFINITY:
            soft = min(soft, self._hard)
        resource.setrlimit(resource.RLIMIT_CPU, (soft, self._hard))
        self._renewed = time.perf_counter()

    def moved_on(self, now: float) -> None:
        """Renew it when half of it may be spent."""
        if now - self._renewed > self.seconds / 2:
            self.renew()


class _Loop:
    """Inputs in, predictions out."""

    def __init__(
        self,
        session: Any,
        inputs: Sequence[Spec],
        decode: Callable[[bytes], Feed],
        found: Reader,
        sample: Feed,
        configuration: Configuration,
        order: Mapping[str, Any],
        budget: _Budget,
        facts: dict[str, Any],
    ) -> None:
        self.facts = facts
        self._run = session.run
        self._names = [found.output]
        self._decode, self._finish = decode, found.finish
        self._sample = sample
        self._batch = configuration.batch.size if all(each.shape[:1] == (None,) for each in inputs) else 1
        self._wait = configuration.batch.wait_ms / 1000
        self._head = _head(configuration, order)
        feedback = configuration.feedback
        self._choose: Chooser | None = chooser(feedback.strategy) if feedback else None
        self._budget = budget
        self._seq = 0
        self._second, self._stamp = 0, ""
        self._answers: list[bytes] = []

    def run(self, channel: socket.socket, unpacker: frames.Unpacker, waiting: list[frames.Frame]) -> None:
        """Until the agent closes the channel."""
        while True:
            self._answer(waiting, channel)
            try:
                data = channel.recv(_CHUNK)
            except ConnectionResetError:
                return
            if not data:
                return
            waiting = list(unpacker.feed(data))
            if self._batch > 1 and self._wait and len(waiting) < self._batch:
                waiting += self._more(channel, unpacker, self._batch - len(waiting))

    def _more(self, channel: socket.socket, unpacker: frames.Unpacker, wanted: int) -> list[frames.Frame]:
        """What else comes while a batch waits to be full."""
        found: list[frames.Frame] = []
        until = time.perf_counter() + self._wait
        while len(found) < wanted:
            left = until - time.perf_counter()
            if left <= 0:
                break
            channel.settimeout(left)
            try:
                found += unpacker.feed(channel.recv(_CHUNK))
            except TimeoutError:
                break
            except socket.timeout:
                break
            finally:
                channel.settimeout(None)
        return found

    def _answer(self, waiting: Sequence[frames.Frame], channel: socket.socket) -> None:
        flushed = time.perf_counter()
        place = 0
        while place < len(waiting):
            kind, payload = waiting[place]
            if kind == frames.INPUT and self._batch > 1:
                group = _leading_inputs(waiting[place : place + self._batch])
                self._several(group)
                place += len(group)
            else:
                place += 1
                self._single(kind, payload)
            now = time.perf_counter()
            if now - flushed > _FLUSH_SECONDS:
                self._flush(channel)
                self._budget.moved_on(now)
                flushed = now
        self._flush(channel)
        self._budget.moved_on(flushed)

    def _flush(self, channel: socket.socket) -> None:
        if self._answers:
            channel.sendall(b"".join(self._answers))
            self._answers.clear()

    def _single(self, kind: int, payload: bytes) -> None:
        if kind == frames.ACTIVATE:
            self._seq = int.from_bytes(payload, "little")
            return
        try:
            started = time.perf_counter()
            feed = self._sample if kind == frames.SAMPLE else self._decode(payload)
            (output,) = self._run(self._names, feed)
            finished = self._finish(output, 0, feed)
            self._predicted(finished, time.perf_counter() - started, sample=kind == frames.SAMPLE)
        except Exception as error:  # noqa: BLE001  one input that cannot be inferred on must not end the loop
            self._fault(error)

    def _several(self, payloads: Sequence[bytes]) -> None:
        """One run for many inputs; where that fails, one for each, so that a bad one spoils none of the others."""
        started = time.perf_counter()
        try:
            feeds = [self._decode(payload) for payload in payloads]
            joined = {name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]}
            (output,) = self._run(self._names, joined)
            finished = [self._finish(output, row, joined) for row in range(len(payloads))]
        except Exception:  # noqa: BLE001  see above
            for payload in payloads:
                self._single(frames.INPUT, payload)
            return
        took = time.perf_counter() - started
        for each in finished:
            self._predicted(each, took)

    def _predicted(self, finished: Finished, seconds: float, *, sample: bool = False) -> None:
        if sample:
            flag, tail = frames.UNASKED, ',"sample":true}'
        else:
            tail = "}"
            choose = self._choose
            flag = frames.UNASKED
            if choose:
                flag = frames.SAMPLED if choose(finished.distribution) else frames.DROPPED
        text = (
            f'{self._head}{self._seq},"timestamp":"{self._now()}","latencyMs":{seconds * 1000:.3f},'
            f'"predictions":{finished.predictions}{tail}'
        )
        self._seq += 1
        self._answers.append(frames.pack(frames.PREDICTION, bytes((flag,)) + text.encode()))

    def _fault(self, error: Exception) -> None:
        self._seq += 1  # the agent's message takes this number
        self._answers.append(frames.pack(frames.FAULT, _reason(error).encode()))

    def _now(self) -> str:
        """ISO 8601, UTC, milliseconds; the seconds are made once each."""
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._stamp}.{int((now - second) * 1000):03d}Z"


def _head(configuration: Configuration, order: Mapping[str, Any]) -> str:
    """The start of every prediction, up to its number."""
    model = configuration.model
    facts: tuple[tuple[str, str], ...] = (
        ("thingName", order["thingName"]),
        ("modelName", model.name),
        ("modelVersion", model.release),
        ("modelSha256", model.sha256),
        ("bootId", order["bootId"]),
    )
    return "{" + "".join(f'"{key}":{json.dumps(value)},' for key, value in facts) + '"seq":'


def _leading_inputs(waiting: Sequence[frames.Frame]) -> list[bytes]:
    found = []
    for kind, payload in waiting:
        if kind != frames.INPUT:
            break
        found.append(payload)
    return found


if __name__ == "__main__":
    main()
