"""Runs one release of a model, and takes another in its place without missing an input.

A candidate is loaded and tried in a process of its own, beside the one that runs; only when it has shown that it works
does it take over, between two inputs. One that crashes, hangs, or eats memory takes nobody with it: the input it failed
on is answered with an error, the others are kept, and after three crashes in a minute the release before comes back.
"""

from __future__ import annotations

import json
import selectors
import time
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Callable

from inference import frames
from inference.child import Child, Item, Who
from inference.comparison import Comparison

if TYPE_CHECKING:
    from inference.releases import Release, Releases

_CRASHES, _WITHIN_SECONDS = 3, 60.0
_WINDOW = 256
"""Inputs that a worker may have been given and not have answered."""
_WINDOW_BYTES = 8 << 20
_TICK = 0.05

RUNNING, REFUSED, REVERTED, CRASHED = "running", "refused", "reverted", "crashed"


class Broken(Exception):
    """No release of the model runs, and why."""


class Runner:
    """The workers of one model.

    Attributes:
        active: the worker that answers; None while one is being started.
        waiting: inputs that no worker has yet.
        comparison: with the release before, where the configuration asks for it.

    """

    def __init__(
        self,
        releases: Releases,
        who: Who,
        scratch: str,
        *,
        answered: Callable[[Item, int, bytes], None],
        failed: Callable[[Release, Item, int, str], None],
        event: Callable[[str, Release, str], None],
    ) -> None:
        """Make a runner of nothing yet.

        Args:
            releases: remembers which release runs.
            who: the device, and this start of the program.
            scratch: a directory for the workers' own.
            answered: called with an input, what sampling said, and the prediction.
            failed: called with an input that a worker ended on, its number, and the reason.
            event: called when a release runs, is refused, crashed, or was taken back.

        """
        self._releases, self._who, self._scratch = releases, who, scratch
        self._answered, self._failed, self._event = answered, failed, event
        self.active: Child | None = None
        self.waiting: deque[Item] = deque()
        self._current: Child | None = None
        """The release that is to run now, still starting."""
        self._candidate: Child | None = None
        self._before: Child | None = None
        """The release before, on the same inputs, for the comparison."""
        self.comparison: Comparison | None = None
        self._switching = False
        self._seq = 0
        self._crashes: deque[float] = deque()
        self._selector = selectors.DefaultSelector()

    def watch(self, file: Any, woken: Callable[[], None]) -> None:
        """Also wake up when there is something to read here."""
        self._selector.register(file, selectors.EVENT_READ, woken)

    def resume(self, release: Release) -> None:
        """Start the release that ran before; a candidate may overtake it."""
        self._current = self._start(release)

    def compare(self, before: Release) -> None:
        """Run the release before too, and compare."""
        self._listen_to(self._start(before))

    def offer(self, release: Release) -> None:
        """Try a release, and let it take over when it works."""
        if self._candidate:
            self._end(self._candidate)
        self._candidate = self._start(release)
        self._switching = False

    @property
    def room(self) -> int:
        """How many more inputs it takes now."""
        return 0 if len(self.waiting) >= _WINDOW else _WINDOW - len(self.waiting)

    @property
    def idle(self) -> bool:
        """Nothing is waiting or under way."""
        return not self.waiting and not (self.active and self.active.waiting) and not self._candidate

    def leave(self) -> None:
        """Give no worker what its source keeps: the program is about to end."""
        self.waiting = deque(item for item in self.waiting if not item.done)

    def give(self, items: Iterable[Item]) -> None:
        """Take inputs in."""
        self.waiting.extend(items)
        self._dispatch()

    def sample(self) -> None:
        """Run the sample before anything that waits."""
        self.waiting.appendleft(Item(b"", sample=True))
        self._dispatch()

    def step(self, seconds: float) -> None:
        """Wait for something to happen, at most so long, and act on it.

        Raises:
            Broken: no release runs any more.

        """
        for child in self._children():
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if child.wants_to_write else 0)
            if self._selector.get_key(child).events != events:
                self._selector.modify(child, events, child)
        busy = any(child.waiting or child.ready is None for child in self._children())
        for key, events in self._selector.select(min(seconds, _TICK) if busy else seconds):
            if not isinstance(key.data, Child):
                key.data()
            elif key.data in self._children():
                self._attend(key.data, events)
        now = time.monotonic()
        for child in self._children():
            reason = child.overdue(now)
            if reason:
                child.kill(reason)
                self._gone(child)
        self._switch()
        self._dispatch()

    def close(self) -> None:
        """End every worker."""
        for child in self._children():
            self._end(child)

    def _children(self) -> list[Child]:
        return [child for child in (self.active, self._current, self._candidate, self._before) if child]

    def _start(self, release: Release) -> Child:
        child = Child(release, self._who, self._scratch)
        self._selector.register(child, selectors.EVENT_READ, child)
        return child

    def _end(self, child: Child, *, ended: bool = False) -> str:
        self._selector.unregister(child)
        if child is self.active:
            self.active = None
        if child is self._current:
            self._current = None
        if child is self._candidate:
            self._candidate = None
        if child is self._before:
            self._before = None
        return child.close(ended=ended)

    def _attend(self, child: Child, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            child.flush()
        if not events & selectors.EVENT_READ:
            return
        try:
            for kind, payload in child.receive():
                self._heard(child, kind, payload)
        except EOFError:
            self._gone(child)

    def _heard(self, child: Child, kind: int, payload: bytes) -> None:
        if kind in {frames.PREDICTION, frames.FAULT}:
            self._answer(child, kind, payload)
        elif kind == frames.READY:
            child.ready = json.loads(payload)
            self._dispatch()
        elif kind == frames.REFUSED:
            child.refused = payload.decode("utf-8", "replace")

    def _answer(self, child: Child, kind: int, payload: bytes) -> None:
        """A prediction, or the reason why there is none; of the release before only the comparison hears."""
        item, good = child.waiting.popleft(), kind == frames.PREDICTION
        if self.comparison and self._before and not item.sample:
            self.comparison.add(item, payload[1:] if good else None, before=child is self._before)
        if child is self._before:
            return
        if good:
            text = payload[1:]
            self._answered(item, payload[0], self.comparison.said(text) if self.comparison else text)
        else:
            self._failed(child.release, item, self._seq, payload.decode("utf-8", "replace"))
        self._seq += 1

    def _listen_to(self, before: Child) -> None:
        if self._before:
            self._end(self._before)
        self._before, self.comparison = before, Comparison()

    def _switch(self) -> None:
        """Let who is ready take over, between two inputs."""
        if self._candidate and self._candidate.ready is not None:
            self._switching = True
            if not (self.active and self.active.waiting):
                candidate, self._candidate, self._switching = self._candidate, None, False
                replaced = self.active or self._current
                if candidate.release.configuration.compare and replaced:
                    # One that is still starting compares once it is ready.
                    self._listen_to(replaced)
                    self.active = self._current = None
                for before in (self.active, self._current):
                    if before:
                        self._end(before)
                self._activate(candidate)
                self._releases.adopt(candidate.release)
                self._event(RUNNING, candidate.release, "")
        elif self._current and self._current.ready is not None:
            current, self._current = self._current, None
            self._activate(current)
            self._event(RUNNING, current.release, "")

    def _activate(self, child: Child) -> None:
        self.active = child
        child.activate(self._seq)

    def _dispatch(self) -> None:
        active = self.active
        if not active or self._switching:
            return
        while self.waiting and len(active.waiting) < _WINDOW and active.backlog < _WINDOW_BYTES:
            item = self.waiting.popleft()
            if item.over and item.over():
                continue
            active.infer(item)
            before = self._before
            if before and before.ready is not None and not item.sample and len(before.waiting) < _WINDOW:
                before.infer(item)
        active.flush()
        if self._before:
            self._before.flush()

    def _gone(self, child: Child) -> None:
        """A worker ended: refused at the start, crashed, or killed for taking too long."""
        candidate, left = child is self._candidate, list(child.waiting)
        listened = child is self._before
        reason = self._end(child, ended=True)
        if self.comparison:
            self.comparison.forget()
        if listened:
            return
        if candidate:
            self._switching = False
            self._event(REFUSED, child.release, reason)
            if not (self.active or self._current):
                raise Broken(reason)
            return
        if left:
            self._failed(child.release, left[0], self._seq, reason)
            self._seq += 1
        self.waiting.extendleft(reversed(left[1:]))
        self._event(CRASHED, child.release, reason)
        now = time.monotonic()
        self._crashes.append(now)
        while now - self._crashes[0] > _WITHIN_SECONDS:
            self._crashes.popleft()
        if self._candidate and self._candidate.ready is not None:
            return  # it takes over
        self._current = self._start(self._again(child.release, reason))

    def _again(self, release: Release, reason: str) -> Release:
        """The release to start after a crash: the same, or after too many of them the one before."""
        if len(self._crashes) < _CRASHES:
            return release
        self._crashes.clear()
        before = self._releases.give_up()
        if before is None or before.id == release.id:
            raise Broken(f"{_CRASHES} crashes within {_WITHIN_SECONDS:g} s, the last because {reason}")
        self._event(REVERTED, release, f"{_CRASHES} crashes within {_WITHIN_SECONDS:g} s, the last because {reason}")
        return before
