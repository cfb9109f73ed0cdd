"""The commands, by name: what the list of them says of each, and where it is.

The file of a command is imported when that command is called, or its options are asked for. So the list of commands,
the version and the shell's completion of names cost no import of what some command needs (see the test of it).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

COMMANDS: Final = {
    "worker": {
        "worker": "Run the orchestrators and activities of an app.",
    },
    "dev": {
        "dev": "Run a worker anew whenever code changes, on a local server.",
    },
    "serve": {
        "serve": "Serve the HTTP management API, which Azure Durable Functions' clients speak.",
    },
    "init": {
        "init": "Create a hub, unless it exists already.",
    },
    "instances": {
        "start": "Start an orchestration and print its instance id.",
        "status": "Show where an instance stands.",
        "history": "Show what happened to an instance, event by event.",
        "result": "Wait for the end of an instance and print its result.",
        "key": "Print the key of an instance's mailbox.",
    },
    "listing": {
        "list": "List instances, the newest first.",
    },
    "messages": {
        "raise-event": "Raise an external event.",
        "terminate": "End an instance at once, without running its code.",
        "cancel": "Ask an instance to end; its own code cleans up.",
        "suspend": "Let an instance only record what arrives, until resumed.",
        "resume": "Let a suspended instance go on.",
        "redrive": "Let a quarantined instance be tried at once.",
    },
    "operations": {
        "rewind": "Let a failed instance go on from before its failure.",
        "restart": "Start an instance anew, with the inputs that it was started with.",
        "reset": "Let an instance go back to before an event of its history.",
        "purge": "Delete all that is stored of a finished instance, and of its finished sub-orchestrations.",
    },
    "watching": {
        "explain": "Say why an instance does not move: what it waits for, and who has to do something.",
        "watch": "Follow an instance live, event by event, until it ends.",
        "queues": "Show how much work lies where: turns to take, tasks by queue, and what waits to be handed on.",
    },
    "activities": {
        "complete-activity": "Complete an attempt of an activity.",
        "fail-activity": "Fail an attempt of an activity.",
        "heartbeat-activity": "Say that an attempt of an activity makes progress.",
    },
    "dead_letters": {
        "dead-letters": "List, show, send again or drop messages that nobody could take.",
    },
    "replaying": {
        "replay": "Run the code at hand along recorded histories, and say where they differ.",
    },
    "doctor": {
        "doctor": "Look whether the server keeps what it is given and answers in time, and whether the hub is well.",
    },
    "demo": {
        "demo": "Kill a worker amid an order and watch another finish it.",
    },
    "acl": {
        "acl": "Print least-privilege ACL rules for the users of a hub.",
    },
}
"""By the file in `redurable.cli`, which registers them; the text is the first sentence of the command's own help."""


class Commands(TyperGroup):
    """The group of them all."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for file, texts in COMMANDS.items():
            for name, text in texts.items():
                self.add_command(Unread(name, file, text))


class Unread(TyperCommand):
    """Stands for a command whose file is not imported yet: it has its name and one line of help."""

    def __init__(self, name: str, file: str, text: str) -> None:
        super().__init__(name, help=text)
        self._name, self._file = name, file

    def read(self) -> Any:
        """The command itself."""
        app = typer.Typer(rich_markup_mode=None)
        import_module(f"redurable.cli.{self._file}").register(app)
        return get_group(app).commands[self._name]

    def make_context(self, *given: Any, **options: Any) -> Any:
        """Whoever gets this far means the command itself."""
        return self.read().make_context(*given, **options)
