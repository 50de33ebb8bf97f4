"""A model tried on this machine as a core device will try it: by the very program, with the very files and settings.

The program loads the model in a child process with limits of memory, CPU time and wall time, runs the sample, and looks
at what comes out. So a model that crashes, loops, eats memory, or gives NaN or a shape that it does not declare is told
before anything is uploaded. Nothing of it runs in this process.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from iotctl import text
from iotctl.errors import Integrity, Local, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from iotctl.infer.component import Component

_PACKAGES: Final = ("numpy", "onnxruntime")
_KEPT: Final = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH")
_LOAD_SECONDS, _TIMEOUT_MS = 60.0, 10_000.0
"""As in the program's own settings."""
_SLACK_SECONDS: Final = 20.0
_THING: Final = "this-machine"


@dataclass(frozen=True, slots=True)
class Tried:
    """What a model did.

    Attributes:
        kind: classification, regression or anomaly.
        latency_ms: of one inference, here.
        prediction: what it made of the sample.

    """

    kind: str
    latency_ms: float
    prediction: Mapping[str, Any]

    @property
    def shown(self) -> str:
        """The first prediction in words."""
        first: Mapping[str, Any] = next(iter(self.prediction["predictions"]), {})
        label = text.sanitize(str(first.get("label", "nothing above the threshold")))
        value = first.get("confidence", first.get("value"))
        return label if value is None else f"{label} {value:.3g}"


def run(component: Component) -> Tried:
    """Try a component's model; see `begun`."""
    with begun(component) as ended:
        return ended()


@contextlib.contextmanager
def begun(component: Component) -> Iterator[Callable[[], Tried]]:
    """Begin to try a component's model: other things can be done meanwhile. Whoever leaves early ends it.

    Yields:
        What waits for its end, and says what it did.

    Raises:
        Integrity: it is no good (exit 9), with the reason. Usage: the settings do not fit it.
        Local: a package to run it with is missing.

    """
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise Local(
            f"a model is tried before it is sent, and {' and '.join(missing)} is not installed",
            code="MissingExtra",
            hint="pip install 'iotctl[ml]'",
        )
    settings = component.configuration["inference"]
    # A worker that is being killed may still make a file in the moment that the directory goes away.
    with tempfile.TemporaryDirectory(prefix="iotctl-trial-", ignore_cleanup_errors=True) as place:
        artifacts, work = Path(place, "artifacts"), Path(place, "work")
        artifacts.mkdir()
        work.mkdir()
        for artifact in component.artifacts:
            if isinstance(artifact.source, bytes):
                (artifacts / artifact.name).write_bytes(artifact.source)
            elif artifact.name == settings["model"]["file"]:
                (artifacts / artifact.name).symlink_to(artifact.source.absolute())
        environment = {
            **{name: os.environ[name] for name in _KEPT if name in os.environ},
            "PYTHONPATH": os.pathsep.join((str(artifacts / "inference.zip"), *_here())),
            "HOME": str(work),
            "TMPDIR": str(work),
            "AWS_IOT_THING_NAME": _THING,
            "IOTCTL_ARTIFACTS": str(artifacts),
            "IOTCTL_WORK": str(work),
            "IOTCTL_INFERENCE": json.dumps(settings),
        }
        with _started(environment, work) as running:
            yield lambda: _judged(component, *_ended(running, _seconds(settings.get("limits", {}))))


def _here() -> list[str]:
    """Where this interpreter's packages are, for one that was started without its virtual environment."""
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


def _seconds(limits: Mapping[str, Any]) -> float:
    return float(limits.get("loadSeconds", _LOAD_SECONDS)) + float(limits.get("timeoutMs", _TIMEOUT_MS)) / 1000


@contextlib.contextmanager
def _started(environment: Mapping[str, str], work: Path) -> Iterator[subprocess.Popen[str]]:
    """The program in a process; nothing of it is left behind."""
    with subprocess.Popen(
        [sys.executable, "-B", "-m", "inference", "check"],
        cwd=work,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as running:
        try:
            yield running
        finally:
            # Its worker is in a session of its own, and ends with it (PR_SET_PDEATHSIG).
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)


def _ended(running: subprocess.Popen[str], seconds: float) -> tuple[int | None, str, str]:
    """The program's exit code (None: it did not end), what it found, and its words."""
    try:
        said, words = running.communicate(timeout=seconds + _SLACK_SECONDS)
    except subprocess.TimeoutExpired:
        return None, "", ""
    return running.returncode, said, words


def _judged(component: Component, code: int | None, said: str, words: str) -> Tried:
    model = component.configuration["inference"]["model"]
    shown = f"{model['name']} {model['release']}"
    last = text.sanitize(words.strip().splitlines()[-1] if words.strip() else "it said nothing")
    if code == 2:
        raise Usage(f"{shown} does not run with these settings: {last}")
    try:
        found: dict[str, Any] = json.loads(said) if code is not None else {"fault": "it did not end"}
        fault = found.get("fault")
        if not fault:
            return Tried(found["kind"], float(found["latencyMs"]), found["prediction"])
    except (ValueError, KeyError, TypeError, AttributeError):
        fault = f"the program ended with {code}: {last}"
    raise Integrity(
        f"{shown} was tried here, and is no good: {text.sanitize(str(fault))}",
        code="UnsafeModel",
        hint="nothing was sent; --settings says how it is run (limits, input, output)",
    )
