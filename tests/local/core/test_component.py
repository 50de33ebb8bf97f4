"""A component's states, with real processes: failures, timeouts, order, and that nothing outlives it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from iotctl.local.devices.core import processes
from iotctl.local.devices.core.faults import Failed
from iotctl.local.devices.core.place import Settings
from iotctl.local.devices.core.resolve import Found
from iotctl.local.devices.core.supervisor import Supervisor
from iotctl.local.devices.core.unit import Unit, unit
from iotctl.local.devices.session import Identity
from iotctl.target import Target
from tests.local.clients import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from pathlib import Path

    from iotctl.local.devices.core.component import Component

PATIENCE = 10.0
NEVER = 1000.0


def component(name: str, lifecycle: dict[str, Any], *hard: str, version: str = "1.0.0") -> Unit:
    """A component as it runs."""
    dependencies = {other: {"VersionRequirement": "*"} for other in hard}
    return unit(Found(name, version, "arn", {"ComponentDependencies": dependencies}), lifecycle, {})


class Stage:
    """A supervisor, and every state that its components were in."""

    def __init__(self, root: Path, steady: float) -> None:
        nowhere = Identity("cam", "localhost", 1, root, root, root)
        self.settings = Settings(nowhere, Target("local", "1", "r"), 1, ("", 1), "", "", root)
        self.states: list[str] = []
        self.faults: list[BaseException] = []
        self._stirred = asyncio.Event()
        self.supervisor = Supervisor(self.settings, self._environment, self._changed, self.faults.append, steady)

    async def run(self, *units: Unit) -> None:
        """Let exactly these run, until they are up."""
        wanted = {one.name: one for one in units}
        await self.supervisor.apply(wanted)
        async with asyncio.timeout(PATIENCE):
            await self.supervisor.settled(wanted)
        await self.supervisor.remove_others(wanted)

    async def until(self, state: str, times: int = 1) -> None:
        """Wait until something was in a state so often."""
        async with asyncio.timeout(PATIENCE):
            while self.states.count(state) < times:
                self._stirred.clear()
                await self._stirred.wait()

    def log(self, name: str) -> list[str]:
        """What a component has written."""
        return self.settings.log(name).read_text().split()

    def _changed(self, one: Component) -> None:
        self.states.append(f"{one.unit.name} {one.state}")
        self._stirred.set()

    def _environment(self, name: str, token: str) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "NAME": name, processes.MARK: str(self.settings.root)}


@contextlib.asynccontextmanager
async def staged(root: Path, steady: float) -> AsyncIterator[Stage]:
    """A stage, ended at the end."""
    stage = Stage(root, steady)
    try:
        yield stage
    finally:
        await stage.supervisor.stop()
    assert [] == stage.faults


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., Stage]:
    """Play a scene on a stage; the stage afterwards.

    `steady` are the seconds after which a component counts as up; where one is to fail it never does.
    """

    def acted(scene: Callable[[Stage], Coroutine[Any, Any, None]], steady: float = 0.05) -> Stage:
        async def whole() -> Stage:
            async with staged(tmp_path, steady) as stage:
                await scene(stage)
            return stage

        return asyncio.run(whole())

    return acted


Play = Any


def test_install_run_shutdown_in_order(play: Play) -> None:
    """The scripts of a life, in the working directory of the component; `shutdown` before its processes end."""
    scripts = {"install": "echo installed > made", "run": "cat made; exec sleep 100", "shutdown": "echo bye"}
    stage = play(lambda stage: stage.run(component("A", scripts)))

    assert ["A NEW", "A INSTALLED", "A STARTING", "A RUNNING", "A STOPPING"] == stage.states
    assert ["installed", "bye"] == stage.log("A")
    assert "installed\n" == (stage.settings.work("A") / "made").read_text()


def test_a_script_that_ends_well_is_finished(play: Play) -> None:
    """As is a component that has none, or skips it."""

    async def scene(stage: Stage) -> None:
        await stage.run(
            component("A", {"run": "true", "shutdown": "echo tidied"}),
            component("B", {}),
            component("C", {"run": {"Script": "exit 1", "SkipIf": "onpath sh"}}),
            component("D", {"startup": {"Script": "exit 1", "SkipIf": "onpath sh"}, "shutdown": "exit 1"}),
        )
        assert {"FINISHED"} == {one.state for one in stage.supervisor.components.values()}

    assert ["tidied"] == play(scene).log("A")


def test_three_failures_break_it(play: Play) -> None:
    """Each is followed by `recover` and `shutdown`; the reason holds what it wrote last."""

    async def scene(stage: Stage) -> None:
        scripts = {"run": "echo no good >&2; exit 7", "recover": "echo recovers", "shutdown": "echo stops"}
        with pytest.raises(Failed, match=r"A 1.0.0 is broken: run ended with code 7; it wrote: no good$"):
            await stage.run(component("A", scripts))
        assert ("RUN_ERROR",) == stage.supervisor.components["A"].codes

    stage = play(scene, NEVER)
    assert (3, 2, 1) == tuple(sum(word in one for one in stage.states) for word in ("RUNNING", "ERRORED", "BROKEN"))
    assert ["no", "good", "recovers", "stops"] * 2 + ["no", "good"] == stage.log("A")


@pytest.mark.parametrize(
    ("scripts", "reason"),
    [
        ({"install": {"Script": "sleep 100", "Timeout": 0.05}}, "install did not end within 0.05 s"),
        ({"startup": {"Script": "sleep 100", "Timeout": 0.05}}, "startup did not end within 0.05 s"),
        ({"run": {"Script": "sleep 100", "Timeout": 0.01}}, "run did not end within 0.01 s"),
        ({"run": "kill -9 $$"}, "run was ended by signal 9"),
        ({"install": "exit 2"}, "install ended with code 2"),
    ],
)
def test_what_hangs_or_dies_is_broken(play: Play, scripts: dict[str, Any], reason: str) -> None:
    """With the step and how it ended; the others go on."""

    async def scene(stage: Stage) -> None:
        with pytest.raises(Failed, match=reason):
            await stage.run(component("B", {"run": "exec sleep 100"}), component("A", scripts))
        assert "RUNNING" == stage.supervisor.components["B"].state

    play(scene, NEVER)


def test_errors_long_ago_do_not_count(play: Play) -> None:
    """After `errorResetTime` seconds without one they are forgotten."""

    async def scene(stage: Stage) -> None:
        await stage.supervisor.apply({"A": component("A", {"run": "sleep 0.02; exit 1", "errorResetTime": 0.001})})
        await stage.until("A ERRORED", 5)

    assert "A BROKEN" not in play(scene).states


def test_a_dependent_waits_and_restarts_with_what_it_needs(play: Play) -> None:
    """HARD: it starts after, and again after a failure of the other; SOFT ones are left alone."""

    async def scene(stage: Stage) -> None:
        base = component("Base", {"startup": "sleep 0.1; echo up", "run": ""})
        once = component("Once", {"run": "[ -e failed ] && exec sleep 100; touch failed; sleep 0.2; exit 1"})
        await stage.run(
            component("Top", {"run": "exec sleep 100"}, "Base"),
            base,
            once,
            component("User", {"run": "exec sleep 100"}, "Once"),
        )
        await stage.until("User RUNNING", 2)

    stage = play(scene)
    assert stage.states.index("Base RUNNING") < stage.states.index("Top STARTING")
    assert stage.states.index("Once ERRORED") < stage.states.index("User STOPPING")
    assert (1, 2) == (stage.states.count("Top RUNNING"), stage.states.count("User RUNNING"))


def test_only_what_changed_is_touched(play: Play) -> None:
    """Same: it goes on; other run script: restarted, not installed; other version: installed; not wanted: ended."""

    async def scene(stage: Stage) -> None:
        same = component("Same", {"run": "exec sleep 100"})
        old = component("Old", {"run": "exec sleep 100", "shutdown": "echo stops", "uninstall": "echo goes"})
        await stage.run(same, component("A", {"install": "echo i1", "run": "exec sleep 100"}), old)
        await stage.run(same, component("A", {"install": "echo i1", "run": "sleep 100"}))
        await stage.run(same, component("A", {"install": "echo i1", "run": "sleep 100"}, version="2.0.0"))
        assert {"Old": "1.0.0"} == stage.supervisor.take_gone()

    stage = play(scene)
    assert (["i1", "i1"], 3) == (stage.log("A"), stage.states.count("A RUNNING"))
    assert (1, ["stops", "goes"]) == (stage.states.count("Same RUNNING"), stage.log("Old"))


def _alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return found.stdout.strip()[:1] not in {"", "Z"}


@pytest.mark.parametrize("step", ["startup", "run"])
def test_nothing_outlives_it(play: Play, step: str) -> None:
    """Neither what it left in the background, nor what does not listen to SIGTERM."""
    pids: list[int] = []

    async def scene(stage: Stage) -> None:
        stubborn = "trap '' TERM; while :; do sleep 0.05; done"
        waits = "exec sleep 100" if step == "run" else "true"
        await stage.run(component("A", {step: f'sh -c "{stubborn}" & echo $!; sleep 100 & echo $!; {waits}'}))
        pids.extend(map(int, stage.log("A")))
        assert [True, True] == [_alive(pid) for pid in pids]

    play(scene)
    until(lambda: not any(_alive(pid) for pid in pids))


def test_what_a_killed_core_left_is_ended(tmp_path: Path) -> None:
    """By the mark of its directory in their environment, and nothing else."""
    command = [sys.executable, "-c", "import time; time.sleep(100)"]
    ours = subprocess.Popen(command, env={**os.environ, processes.MARK: str(tmp_path)})
    other = subprocess.Popen(command, env={**os.environ, processes.MARK: f"{tmp_path}-other"})
    try:
        assert [ours.pid] == processes.end_left_behind(tmp_path)
        assert (-9, None) == (ours.wait(PATIENCE), other.poll())
    finally:
        for process in (ours, other):
            process.kill()
            process.wait()


def test_a_log_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large one is begun anew, the old one kept; whoever writes to it goes on."""
    monkeypatch.setattr(processes, "LOG_LIMIT", 10)
    log = tmp_path / "A.log"
    log.write_text("0123456789ABC")
    with log.open("a") as writer:
        processes.roll(log)
        writer.write("on")
    assert ("on", "0123456789ABC") == (log.read_text(), (tmp_path / "A.log.1").read_text())
