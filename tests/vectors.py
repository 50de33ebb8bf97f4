"""Tables of cases as one test: every row is tried, and all that fail are told at once."""

from __future__ import annotations

import functools
import inspect
import traceback
from collections.abc import Callable, Collection
from typing import Any

Test = Callable[..., None]


def rows(names: str | tuple[str, ...], table: Collection[Any]) -> Callable[[Test], Test]:
    """Try a test with every row of a table, as `pytest.mark.parametrize` does, but as one test.

    To collect a thousand tests takes seconds in every worker; to run a thousand rows of a pure function takes none.
    Fixtures are the same for all rows.

    Args:
        names: the parameters that a row gives; one text is one name, or several with commas between.
        table: tuples of values, or plain values where there is one name.

    Raises:
        AssertionError: with each row that fails and the line at which it does; or there is no row at all.

    """
    keys = tuple(name.strip() for name in names.split(",")) if isinstance(names, str) else names
    assert table, "a table without rows tests nothing"

    def decorate(test: Test) -> Test:
        @functools.wraps(test)
        def run(**fixtures: Any) -> None:
            failed = []
            for row in table:
                try:
                    test(**dict(zip(keys, row if len(keys) > 1 else (row,), strict=True)), **fixtures)
                except Exception:  # noqa: BLE001  however it fails, it is this row that does
                    failed.append(f"{row!r}\n{traceback.format_exc(limit=-1)}")
            if failed:
                raise AssertionError(f"{len(failed)} of {len(table)} rows fail:\n\n" + "\n".join(failed))

        signature = inspect.signature(test)
        left = [one for name, one in signature.parameters.items() if name not in keys]
        run.__signature__ = signature.replace(parameters=left)  # type: ignore[attr-defined]  what pytest reads
        return run

    return decorate
