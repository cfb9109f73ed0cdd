"""What a worker keeps of an instance between its turns: a live replay, and what can be decided with it alone."""

from __future__ import annotations

from msgspec import Struct

from redurable.core.delivery import Delivery, Entry, Position
from redurable.core.events import TimerCreated
from redurable.core.messages import ActivityFailure, ActivityResult, Mail, Message
from redurable.core.replay import Replay
from redurable.core.state import State

MOST_OPEN_AHEAD = 4
"""With more calls and timers open, no turn is decided ahead."""


class Known(Struct):
    """A live replay in a worker's cache, with the state that it amounts to. Owned by one turn at a time. `head` is that
    of the commit of its last turn; `replayed` counts the events of the history that it was rebuilt from."""

    replay: Replay
    state: State
    head: str = ""
    replayed: int = 0

    @property
    def position(self) -> Position:
        """Which history it has seen."""
        return Position(self.state.execution, self.state.length, self.state.tip)

    @property
    def size(self) -> int:
        """About how many bytes it keeps alive."""
        return self.replay.size

    @property
    def name(self) -> str:
        """The orchestrator's."""
        return self.state.started.name if self.state.started else ""

    def is_ahead_of(self, message: Message) -> bool:
        """Whether a turn may be decided from this outcome ahead, when the store does not know of it yet.

        If something else comes first, the replay is lost. So nothing else may be awaited but timers, and the replay
        must have grown since it was rebuilt: what is at stake stays in proportion to the turns that were taken.
        """
        state = self.state
        if len(state.open) > MOST_OPEN_AHEAD or state.canceled or state.length * 8 < self.replayed * 9:
            return False
        if not isinstance(message, ActivityResult | ActivityFailure) or message.seq not in state.open:
            return False
        others = (made for seq, made in state.open.items() if seq != message.seq)
        return message.execution == state.execution and all(isinstance(made, TimerCreated) for made in others)

    def delivery_of(self, message: Message, partition: int, now: int) -> Delivery:
        """What `checkout` would answer, were this message the instance's only mail. No entry rings for it."""
        state, replay = self.state, self.replay
        return Delivery(
            Entry(partition, "", replay.scope.instance),
            now,
            head=self.head,
            status=state.status,
            name=self.name,
            execution=state.execution,
            mails=(Mail("", message),),
            base=state.length,
            unread=replay.depths(),
        )

    def evict(self) -> None:
        """Let go of user code without running any of it; call it on the turn thread."""
        self.replay.evict()
