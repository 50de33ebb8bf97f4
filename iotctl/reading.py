"""Reads whose failures are no end: what could not be read is noted by the attribute of the fleet that lacks it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from iotctl import engine
from iotctl.errors import Auth, Denied, Error, NoIndex, NotFound, Unsupported
from iotctl.kept import CERTIFICATES
from iotctl.plan import Ref, Step
from iotctl.text import count, lasting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from iotctl.aws import Aws
    from iotctl.kept import Kept
    from iotctl.world import World

_WORTH_TELLING: Final = 10.0
"""Seconds that an operation must at least take for it to be told before it begins."""
_BATCH: Final = 5000


@dataclass
class Reading:
    """Reads an account, and remembers what it could not read.

    Attributes:
        tell: says something to a person while it goes on.
        unread: what could not be read although it should have been, by the attribute of the fleet, and why.
        beyond: what there is no way to know here, likewise.
        again: whether reading again may find more: what failed was more than a missing permission.
        calls: how many calls were made, by operation.

    """

    aws: Aws
    world: World
    kept: Kept
    tell: Callable[[str], None]
    unread: dict[str, str] = field(default_factory=dict)
    beyond: dict[str, str] = field(default_factory=dict)
    again: bool = False
    calls: Counter[str] = field(default_factory=Counter)

    def listed(self, attribute: str, op: str, member: str, *, ours: bool = True, **params: Any) -> Iterator[Any]:  # noqa: ANN401  AWS's own
        """The elements of a listing; one that is cut short leaves a gap, which is told.

        Args:
            attribute: of the fleet, which has the gap then.
            op: the operation.
            member: of its answer that holds the elements.
            ours: whether every audit should be able to read it; else a missing permission leaves the checks skipped.
            params: of the operation.

        """
        try:
            for page in self.aws.pages(op, **params):
                self.calls[op] += 1
                yield from page.get(member, ())
        except Error as error:
            self.missed(attribute, op, error, ours=ours)

    def one(self, attribute: str, op: str, *, ours: bool = True, **params: Any) -> dict[str, Any] | None:  # noqa: ANN401  AWS's own
        """One answer; None where it could not be had, which is told."""
        self.calls[op] += 1
        try:
            return self.aws.call(op, **params)
        except Error as error:
            self.missed(attribute, op, error, ours=ours)
            return None

    def each(
        self,
        attribute: str,
        op: str,
        parameter: str,
        values: list[str],
        take: Callable[[dict[str, Any]], Any],
        **params: Any,  # noqa: ANN401  AWS's own
    ) -> Iterator[tuple[str, Any]]:
        """One read for each value, but for those whose answers are kept; what is not there any more is left out.

        Args:
            attribute: of the fleet; where an answer is missing, it is told.
            op: the operation.
            parameter: of it that takes the value.
            values: what to read.
            take: what of an answer is wanted, as a JSON value: so much of it is kept.
            params: of the operation, the same for all.

        """
        kind = " ".join([op, *(str(value) for value in params.values())])
        missing: list[str] = []
        for start in range(0, len(values), _BATCH):
            batch = values[start : start + _BATCH]
            known = self.kept.known(kind, batch)
            missing += [value for value in batch if value not in known]
            yield from known.items()
        self._announce(op, len(missing))
        rows = ({"thingName": value, "line": number} for number, value in enumerate(missing, 1))
        step = Step(op, {parameter: Ref("row.thingName"), **params})
        answered, failed, last = 0, 0, None
        try:
            for row, answer in engine.answers(step, rows, self.world):
                self.calls[op] += 1
                answered += 1
                if isinstance(answer, NotFound):
                    continue
                if isinstance(answer, Error):
                    failed, last = failed + 1, answer
                else:
                    taken = take(whole(self.aws, op, {parameter: row["thingName"], **params}, answer))
                    self.kept.keep(kind, row["thingName"], taken)
                    yield row["thingName"], taken
        except Error as error:  # it ends the reading: the rest is as unread
            failed, last = failed + len(missing) - answered, error
        if last is not None:
            self.missed(attribute, op, last, f" for {failed:,} of {len(values):,}")

    def missed(self, attribute: str, op: str, error: Error, how_many: str = "", *, ours: bool = True) -> None:
        """Note what could not be read.

        Raises:
            Auth: the credentials are no good; a single operation that they do not allow is no error.

        """
        if isinstance(error, Auth) and not isinstance(error, Denied):
            raise error
        if isinstance(error, NotFound) and not ours:
            return  # a role that is gone grants nothing
        if isinstance(error, Unsupported):
            self.beyond.setdefault(attribute, f"{op} is not there")
        elif isinstance(error, NoIndex):
            # An account that indexes no connections is no account in trouble.
            self.beyond.setdefault(
                attribute, "the fleet index does not hold it (aws iot update-indexing-configuration)"
            )
        elif isinstance(error, Denied) and not ours:
            self.beyond.setdefault(attribute, f"{op} is not allowed")
        else:
            why = (error.cause or error.message).removeprefix(f"{op}: ")
            self.unread.setdefault(attribute, f"{op} failed{how_many}: {why}")
            self.again = self.again or not isinstance(error, Denied)

    def _announce(self, op: str, number: int) -> None:
        """Say how long the reads of one operation must take, where that is long."""
        rate = self.world.rates.get(op) or self.world.starts.get(op)
        if rate and number / rate >= _WORTH_TELLING:
            once = "; each is kept, the next audit asks for new ones only" if op == CERTIFICATES else ""
            self.tell(f"{op}: {count(number, 'call')}, at least {lasting(number / rate)} at AWS's quota{once}")


def whole(aws: Aws, op: str, params: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """An answer with what is on its further pages: a certificate may be on more things than one page has.

    Raises:
        Error: a further page could not be read.

    """
    if not answer.get("nextToken"):
        return answer
    pages = [answer, *aws.pages(op, **params, nextToken=answer["nextToken"])]
    lists = {key for key, value in answer.items() if isinstance(value, list)}
    return {key: [one for page in pages for one in page.get(key, ())] for key in lists}
