"""The registration code."""

from __future__ import annotations

import re
from typing import Any


def test_the_registration_code_is_stable(iot: Any) -> None:
    """It is 64 hexadecimal digits, the same at every call, and another one after it was deleted."""
    codes = {iot.get_registration_code()["registrationCode"] for _ in range(3)}
    assert len(codes) == 1
    assert re.fullmatch("[0-9a-f]{64}", *codes)
    iot.delete_registration_code()
    assert iot.get_registration_code()["registrationCode"] not in codes
