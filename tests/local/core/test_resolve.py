"""Which versions a core installs, over all its groups and dependencies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from iotctl.local.devices.core.faults import Failed
from iotctl.local.devices.core.resolve import MOST_LOOKUPS, Found, resolve
from iotctl.semantics.versions import Requirement, Version

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def found(name: str, version: str, **dependencies: Any) -> Found:
    """A version that depends on others: `B="^1.0.0"`, or a whole dependency."""
    wanted = {
        other: given if isinstance(given, dict) else {"VersionRequirement": given}
        for other, given in dependencies.items()
    }
    return Found(name, version, f"arn:{name}:{version}", {"ComponentDependencies": wanted})


def cloud(*versions: Found) -> Callable[[str, Mapping[str, str]], Found]:
    """A lookup among some versions: the newest that meets all requirements, as the cloud answers."""

    def lookup(name: str, requirements: Mapping[str, str]) -> Found:
        fitting = [
            one
            for one in versions
            if one.name == name
            and all(Requirement.parse(text).matches(Version.parse(one.version)) for text in requirements.values())
        ]
        if not fitting:
            raise Failed(f"none of {name} for {dict(requirements)}")
        return max(fitting, key=lambda one: Version.parse(one.version))

    return lookup


def versions(resolved: Mapping[str, Found]) -> dict[str, str]:
    """Names and versions, in order."""
    return {name: one.version for name, one in resolved.items()}


def test_dependencies_come_first_and_only_what_is_needed_comes() -> None:
    """The order is one in which everything can be started."""
    lookup = cloud(
        found("A", "1.0.0", B="^1.0.0"), found("B", "1.2.0", C="*"), found("C", "3.0.0"), found("D", "1.0.0")
    )

    assert [("C", "3.0.0"), ("B", "1.2.0"), ("A", "1.0.0")] == list(
        versions(resolve({"thinggroup/g": {"A": "1.0.0"}}, lookup)).items()
    )


def test_requirements_of_all_groups_and_components_meet() -> None:
    """One version is chosen that every group and every dependent allows."""
    lookup = cloud(
        found("A", "1.0.0", B=">=1.0.0 <2.0.0"),
        found("C", "1.0.0", B="<1.5.0"),
        *(found("B", version) for version in ("1.0.0", "1.4.0", "1.9.0", "2.0.0")),
    )
    resolved = resolve({"thinggroup/a": {"A": "1.0.0"}, "thinggroup/c": {"C": "1.0.0"}}, lookup)

    assert {"A": "1.0.0", "B": "1.4.0", "C": "1.0.0"} == dict(sorted(versions(resolved).items()))


def test_what_only_a_version_that_is_not_chosen_needed_is_not_installed() -> None:
    """A later requirement chooses an older version: its newer one's dependency goes with it."""
    lookup = cloud(
        found("A", "1.0.0", B="*"),
        found("B", "2.0.0", Extra="*"),
        found("B", "1.0.0"),
        found("Extra", "1.0.0", More="*"),
        found("More", "1.0.0"),
        found("C", "1.0.0", B="1.0.0"),
    )
    resolved = resolve({"thinggroup/a": {"A": "1.0.0"}, "thinggroup/c": {"C": "1.0.0"}}, lookup)

    assert {"A": "1.0.0", "B": "1.0.0", "C": "1.0.0"} == dict(sorted(versions(resolved).items()))


def test_a_soft_dependency_is_installed_and_is_not_hard() -> None:
    """SOFT says how they start, not whether they come."""
    soft = {"VersionRequirement": "*", "DependencyType": "SOFT"}
    resolved = resolve(
        {"thing/t": {"A": "1.0.0"}}, cloud(found("A", "1.0.0", B=soft, C="*"), found("B", "1.0.0"), found("C", "1.0.0"))
    )

    assert ({"A", "B", "C"}, ("C",)) == (set(resolved), resolved["A"].hard)


def test_a_circle_is_refused_by_name() -> None:
    """Nothing in it could be started first."""
    with pytest.raises(Failed, match=r"in a circle: (A -> B -> A|B -> A -> B)") as caught:
        resolve({"thing/t": {"A": "1.0.0"}}, cloud(found("A", "1.0.0", B="*"), found("B", "1.0.0", A="*")))
    assert ["COMPONENT_CIRCULAR_DEPENDENCY_ERROR"] == [code.value for code in caught.value.codes]


def test_requirements_that_never_settle_end() -> None:
    """Two versions of A that want each other's B: the search is bounded."""
    asked = 0

    def lookup(name: str, requirements: Mapping[str, str]) -> Found:
        nonlocal asked
        asked += 1
        return found(name, f"{asked}.0.0", **{"B" if name == "A" else "A": "*"})

    with pytest.raises(Failed, match="never settle"):
        resolve({"thing/t": {"A": "*"}}, lookup)
    assert asked == MOST_LOOKUPS
