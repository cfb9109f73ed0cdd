"""Dead letters as a client sees them: messages that nobody could take."""

# No `from __future__ import annotations`: public dataclasses name `redurable` as their module, where a library that
# resolves annotations later would not find the types.

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from redurable.client.link import Link
from redurable.client.moments import moment
from redurable.errors import InvalidToken
from redurable.store.letters import Letter, is_letter_id

_PAGE = 100


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """A message that nobody could take.

    `id`: by which it is dropped or sent again. `reason`: why nobody could. `instance_id`: for whom it was ("": it does
    not say). `at`: since when it lies there. `position`: the id of its entry in the intake, if it was malformed there.
    `fields`: what was written, as text.
    """

    id: str
    reason: str
    instance_id: str
    at: datetime
    position: str = ""
    fields: dict[str, str] = field(default_factory=dict[str, str])


class Letters:
    """What a client can do with dead letters."""

    @property
    def _link(self) -> Link:
        raise NotImplementedError

    async def list_dead_letters(self, after: str = "") -> AsyncIterator[DeadLetter]:
        """The dead letters behind that id ("": all), the oldest first. Raises `InvalidToken` for what is no id."""
        link = self._link
        while True:
            start = _checked(after)
            page = await link.call(lambda start=start: link.store.letters(start, _PAGE))
            for letter in page:
                yield _shown(letter)
            if len(page) < _PAGE:
                return
            after = page[-1].id

    async def drop_dead_letters(self, ids: Sequence[str]) -> int:
        """Delete these; return how many were there. Raises `InvalidToken` for what is no id."""
        link, checked = self._link, [_checked(one) for one in ids]
        return await link.call(lambda: link.store.drop_letters(checked))

    async def redrive_dead_letters(self, ids: Sequence[str]) -> list[str]:
        """Send these again through the intake, each once however often this is called; return the ids of those that
        were. Others stay where they are: they did not come from a client (a task, an answer, a result), or there is
        none of that id. One that still cannot be taken becomes a dead letter again. Raises `InvalidToken`."""
        link, checked = self._link, [_checked(one) for one in ids]
        return await link.call(lambda: link.store.redrive_letters(checked))


def _checked(letter_id: str) -> str:
    if letter_id and not is_letter_id(letter_id):
        raise InvalidToken(f"{letter_id!r} is no id of a dead letter: they look like 1700000000000-0")
    return letter_id


def _shown(letter: Letter) -> DeadLetter:
    return DeadLetter(
        id=letter.id,
        reason=letter.reason,
        instance_id=letter.instance,
        at=moment(letter.at),
        position=letter.position,
        fields={_text(name): _text(value) for name, value in letter.fields},
    )


def _text(value: bytes) -> str:
    return value.decode(errors="backslashreplace")
