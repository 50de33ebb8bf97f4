"""The global options, anywhere on the line."""

from __future__ import annotations

import pytest

from iotctl import options
from iotctl.errors import Usage
from iotctl.options import Globals


@pytest.mark.parametrize(
    ("line", "chosen", "rest"),
    [
        ("onboard check f.csv", Globals(), "onboard check f.csv"),
        ("-o json onboard check f.csv", Globals(output="json"), "onboard check f.csv"),
        ("onboard check f.csv --output=quiet", Globals(output="quiet"), "onboard check f.csv"),
        ("onboard -q check f.csv", Globals(output="quiet"), "onboard check f.csv"),
        ("a --profile p b --region=r -y", Globals(profile="p", region="r", yes=True), "a b"),
        ("a --local --expect-account 1 --debug", Globals(local=True, expect_account="1", debug=True), "a"),
        ("a -v --no-color --yes", Globals(verbose=True, no_color=True, yes=True), "a"),
        ("a -- -q --local", Globals(), "a -- -q --local"),
        ("a --policy -q", Globals(output="quiet"), "a --policy"),
        ("-o json -o table a", Globals(), "a"),
        ("a --bundles=-q --unknown=x", Globals(), "a --bundles=-q --unknown=x"),
    ],
)
def test_global_options_are_found_anywhere(line: str, chosen: Globals, rest: str) -> None:
    """Before, between and after the words of a command; everything after `--` is left alone."""
    assert (chosen, rest.split()) == options.split(line.split())


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("a -o", "-o needs a value", "-o table|json|quiet"),
        ("a --profile", "--profile needs a value", "--profile VALUE"),
        ("a -o jsn", "unknown output format 'jsn'", "-o json"),
        ("a --output=", "unknown output format ''", "-o table|json|quiet"),
    ],
)
def test_a_wrong_value_says_what_to_type(line: str, message: str, hint: str) -> None:
    """Before any command is looked at."""
    with pytest.raises(Usage) as caught:
        options.split(line.split())
    assert (message, hint) == (caught.value.message, caught.value.hint)
