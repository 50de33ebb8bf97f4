"""The inference program is a package of its own, outside of iotctl: here its place is on the path."""

from __future__ import annotations

import sys
from pathlib import Path

PROGRAM = Path(__file__).parents[3] / "templates" / "components" / "onnx-inference"
if str(PROGRAM) not in sys.path:
    sys.path.insert(0, str(PROGRAM))
