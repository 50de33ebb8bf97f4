"""What runs where, as a person reads it."""

from __future__ import annotations

from iotctl.infer import running


def test_a_fleet_without_cores_fills_no_terminal() -> None:
    """Ten are named, the others are counted; where there are no others nothing is said of them."""
    notes = [f"p{number} runs no model" for number in range(400)]
    assert (*notes[:10], "390 more run no model either; -o json names them") == running.told(notes)
    assert tuple(notes[:10]) == running.told(notes[:10])
