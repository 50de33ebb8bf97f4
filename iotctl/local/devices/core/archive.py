"""Archives of components, unpacked: a directory that is whole, or is not there. It blocks.

Nothing in an archive can write outside its directory, or more than it says. Source: the nucleus' Unarchiver.
"""

from __future__ import annotations

import shutil
import stat
import zipfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from iotctl import files
from iotctl.local.devices.core.faults import Code, Failed
from iotctl.text import sanitize

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES: Final = 10_000_000_000
"""Of an artifact, and of all that is in one: the nucleus' default of componentStoreMaxSizeBytes."""
MOST_FILES: Final = 100_000


def unpack(archive: Path, place: Path, mode: int) -> None:
    """Unpack a ZIP into a directory that is whole, or is not there.

    Raises:
        Failed: it is damaged, or holds what must not be unpacked.

    """
    making = place.with_name(f".{place.name}.making")
    shutil.rmtree(making, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as content:
            members = content.infolist()
            if len(members) > MOST_FILES or sum(one.file_size for one in members) > MOST_BYTES:
                raise Failed(f"{archive.name} holds too many files or bytes", Code.UNZIP)
            making.mkdir(files.PRIVATE_DIRECTORY)
            for one in members:
                _unpack_member(content, one, making, mode)
    # zipfile says NotImplementedError of a compression that it does not know, RuntimeError of an encrypted member.
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise Failed(f"{archive.name} cannot be unpacked: {sanitize(str(error))}", Code.UNZIP) from error
    shutil.rmtree(place, ignore_errors=True)
    making.rename(place)


def _unpack_member(content: zipfile.ZipFile, member: zipfile.ZipInfo, making: Path, mode: int) -> None:
    name = PurePosixPath(member.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or stat.S_ISLNK(member.external_attr >> 16):
        raise Failed(f"an archive holds {sanitize(member.filename)[:160]!r}, which is no plain file in it", Code.UNZIP)
    place = making.joinpath(*name.parts)
    if member.is_dir():
        place.mkdir(files.PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        return
    place.parent.mkdir(files.PRIVATE_DIRECTORY, parents=True, exist_ok=True)
    left = member.file_size  # what it says; one that goes on longer is a bomb
    with content.open(member) as source, place.open("xb") as target:
        while block := source.read(1 << 20):
            left -= len(block)
            if left < 0:
                raise Failed("an archive holds more bytes than it says", Code.UNZIP)
            target.write(block)
    place.chmod(mode)
