"""The entry: what needs nothing is answered before anything is imported."""

from __future__ import annotations

import io
import sys


def main() -> None:
    """Run the command line and exit with its code."""
    if sys.argv[1:2] == ["--version"]:
        from iotctl import __version__

        sys.stdout.write(f"iotctl {__version__}\n")
        return
    try:
        from iotctl.cli import run
    except KeyboardInterrupt:
        sys.exit(130)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what its encoding cannot show is shown as an escape
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
