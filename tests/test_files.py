"""Durable, private file writes, and the run lock."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from iotctl import files
from iotctl.errors import Local, Locked

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each umask that a shell may have left."""
    before = os.umask(request.param)
    yield
    os.umask(before)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.usefixtures("umask")
def test_files_have_their_mode_under_any_umask(tmp_path: Path) -> None:
    """Private is private, and what others must read is readable, whatever the shell's umask."""
    home = files.private_directory(tmp_path / "a")
    files.write_new(home / "key", b"secret")
    files.write_new(home / "certificate", b"public", 0o644)
    files.replace(home / "state", b"{}")
    found = {path.name: oct(_mode(path)) for path in (home, *home.iterdir())}
    assert {"a": "0o700", "key": "0o600", "certificate": "0o644", "state": "0o600"} == found


@pytest.mark.parametrize("kind", ["file", "symlink"])
def test_a_new_file_never_replaces_one(tmp_path: Path, kind: str) -> None:
    """Neither a file nor what a symbolic link points to is written over."""
    kept, place = tmp_path / "kept", tmp_path / "place"
    kept.write_text("mine")
    if kind == "file":
        kept.rename(place)
        kept = place
    else:
        place.symlink_to(kept)
    with pytest.raises(FileExistsError):
        files.write_new(place, b"other")
    assert "mine" == kept.read_text()


@pytest.mark.parametrize("failing", ["write", "fsync", "fchmod"])
def test_a_replacement_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """On a full disk the old content stays, nothing is left beside it, and the error says what to do."""
    place = tmp_path / "state.json"
    files.replace(place, b"old")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, failing, full)
        with pytest.raises(Local, match="No space left") as caught:
            files.replace(place, b"new")
    assert ("ENOSPC", "free some space, then run the same command again; it resumes") == (
        caught.value.code,
        caught.value.hint,
    )
    assert {"state.json": b"old"} == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_a_replacement_is_synced_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data first, then the name, then the directory: after a power loss it is the old file or the new one."""
    told: list[str] = []
    fsync, rename = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        told.append("sync directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync file")
        fsync(descriptor)

    def renamed(self: Path, target: Path) -> Path:
        told.append("rename")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    files.replace(tmp_path / "state", b"new")
    assert ["sync file", "rename", "sync directory"] == told


@pytest.mark.parametrize(("mode", "refused"), [(0o700, False), (0o755, False), (0o770, True), (0o707, True)])
def test_a_directory_that_others_may_write_is_refused(tmp_path: Path, mode: int, refused: bool) -> None:
    """Others could put their files in the place of keys."""
    place = tmp_path / "out"
    place.mkdir()
    place.chmod(mode)
    if refused:
        with pytest.raises(Local, match="writable by others") as caught:
            files.private_directory(place)
        assert f"chmod 700 {place}" == caught.value.hint
    else:
        assert place == files.private_directory(place)


def test_a_directory_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A symbolic link, a file and another user's directory are refused."""
    real, link, file = tmp_path / "real", tmp_path / "link", tmp_path / "file"
    real.mkdir(mode=0o700)
    link.symlink_to(real)
    file.write_text("")
    with pytest.raises(Local, match="symbolic link"):
        files.private_directory(link)
    with pytest.raises(Local, match="cannot write"):
        files.private_directory(file)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(Local, match="another user"):
        files.private_directory(real)


def test_a_file_system_that_ignores_case_is_noticed(tmp_path: Path) -> None:
    """Two spellings of one directory that are the same directory; the nearest parent that exists decides."""
    assert not files.ignores_case(tmp_path / "none" / "yet")
    (tmp_path / "fleet").mkdir()
    (tmp_path / "FLEET").symlink_to(tmp_path / "fleet")
    assert files.ignores_case(tmp_path / "fleet" / "1" / "2")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"IOTCTL_HOME": "/a"}, "/a"),
        ({"IOTCTL_HOME": "", "XDG_STATE_HOME": "/x"}, "/x/iotctl"),
        ({"IOTCTL_HOME": "", "HOME": "/home/me"}, "/home/me/.local/state/iotctl"),
    ],
)
def test_state_home(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str) -> None:
    """IOTCTL_HOME, else the XDG state directory."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert Path(expected) == files.state_home()


def test_a_lock_names_its_holder_and_ends_with_its_process(tmp_path: Path) -> None:
    """A second run is refused with the pid of the first; when that one is killed, the lock is free."""
    lock = tmp_path / ".lock"
    script = (
        "import sys, pathlib; from iotctl import files\n"
        "with files.run_lock(pathlib.Path(sys.argv[1]), 'onboard apply'): print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout
        assert "held\n" == holder.stdout.readline()
        assert files.is_locked(lock)
        with pytest.raises(Locked, match="another run") as caught, files.run_lock(lock, "other"):
            pass
        assert caught.value.cause.startswith(f"onboard apply, pid {holder.pid} on ")
        holder.kill()
    assert not files.is_locked(lock)
    assert not files.is_locked(tmp_path / "none")
    with files.run_lock(lock, "next"):
        assert oct(0o600) == oct(_mode(lock))


def test_a_lock_is_not_taken_through_a_symbolic_link(tmp_path: Path) -> None:
    """A link to someone's file would have it overwritten."""
    (tmp_path / "victim").write_text("mine")
    (tmp_path / ".lock").symlink_to(tmp_path / "victim")
    with pytest.raises(Local), files.run_lock(tmp_path / ".lock", "x"):
        pass
    assert "mine" == (tmp_path / "victim").read_text()
