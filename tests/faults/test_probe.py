from tests.faults.stage import VALUE


def test_x():
    """x."""
    assert VALUE == 3
