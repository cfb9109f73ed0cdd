"""The files of an embedded server, all found from its data directory alone, so that every process finds the same.

<data>/lock            locked while a server (or its guard) runs; whoever gets the lock may start one
<data>/run/valkey.sock the socket, in a directory of mode 0700; in the system's temporary directory when the path
                       would be too long for a socket
<data>/valkey.log      what the server and its guard say
<data>/appendonlydir/  the data
"""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from hashlib import sha256
from pathlib import Path

from msgspec import Struct

from redurable.errors import StoreRefused

MAX_SOCKET_PATH_BYTES = 100
"""Linux allows 107, macOS 103."""
MAX_LOG_BYTES = 1024 * 1024
TAIL_BYTES = 4096
TAIL_LINES = 15


class Places(Struct, frozen=True):
    """Absolute paths; `directory` has its symbolic links resolved."""

    directory: Path
    lock: Path
    log: Path
    socket: Path


def places_of(directory: Path) -> Places:
    """The places of the server whose data directory this is. Touches no file."""
    data = directory.resolve()
    return Places(directory=data, lock=data / "lock", log=data / "valkey.log", socket=_socket_of(data))


def _socket_of(data: Path) -> Path:
    socket = data / "run" / "valkey.sock"
    if _fits(socket):
        return socket
    name = f"redurable-{os.getuid()}-{sha256(os.fsencode(data)).hexdigest()[:16]}"
    socket = Path(tempfile.gettempdir()) / name / "valkey.sock"
    return socket if _fits(socket) else Path("/tmp") / name / "valkey.sock"


def _fits(socket: Path) -> bool:
    return len(os.fsencode(socket)) <= MAX_SOCKET_PATH_BYTES


def make_data_directory(places: Places) -> None:
    """Make the data directory if there is none."""
    if not places.directory.is_dir():
        places.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (places.directory / ".gitignore").write_text("*\n")  # The default directory stands amid the user's code.


def make_socket_directory(places: Places) -> None:
    """A directory that only this user may enter; in /tmp somebody else may have made one of that name. Needs the lock,
    as does the removal."""
    directory = places.socket.parent
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise StoreRefused(
            f"{directory}, which is to hold the socket of the embedded server, is no directory of this user "
            f"(uid {os.geteuid()}) but of uid {found.st_uid}: remove it, or choose another data directory"
        )
    if stat.S_IMODE(found.st_mode) != 0o700:
        directory.chmod(0o700)


def remove_socket_directory(places: Places) -> None:
    """Leave nothing in the system's temporary directory."""
    places.socket.unlink(missing_ok=True)
    directory = places.socket.parent
    if directory.is_dir() and not any(directory.iterdir()):
        directory.rmdir()


def unusable(places: Places, error: OSError) -> StoreRefused:
    """The error for a data directory that this process may not use."""
    return StoreRefused(
        f"the data directory {places.directory} of the embedded server cannot be used: {error}. "
        "Make it writable, or choose another one, for example embedded:/path/to/directory"
    )


def try_lock(places: Places) -> int | None:
    """Return a descriptor that holds the lock, or None while another one does. Never waits.

    The lock belongs to the open file, so it lasts as long as any process that inherited the descriptor.
    """
    while True:
        lock = os.open(places.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still(lock, places.lock):
                return lock
        except BlockingIOError:
            os.close(lock)
            return None
        except OSError:
            os.close(lock)
            raise
        os.close(lock)  # Somebody removed the file meanwhile: what we locked is not what the others will lock.


def _is_still(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def open_log(places: Places) -> int:
    """A descriptor that appends to the log; call it with the lock held. Keeps one older log when it grew large."""
    if places.log.exists() and places.log.stat().st_size > MAX_LOG_BYTES:
        places.log.replace(places.log.with_suffix(".log.1"))
    return os.open(places.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def log_tail(places: Places, since: int = 0) -> str:
    """The last lines of the log that were written after the byte position `since`."""
    try:
        with places.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(since, size - TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
    except OSError as error:
        return f"(it cannot be read: {error})"
    return "\n".join(lines[-TAIL_LINES:]) or "(it is empty)"
