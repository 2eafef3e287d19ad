"""Folders that no other user may write to, whatever the umask of the process is."""

from pathlib import Path
from typing import Final

#: Of parent folders: readable by all users, as usual.
_WAY: Final = 0o755


def make_private_folder(path: Path, mode: int = 0o700) -> None:
    """Make a folder, and those on the way to it; no-op when it is there. `OSError` when that cannot be done.

    `mkdir(parents=True)` makes the parents world-writable when the umask allows it, and a user who may do
    that can put another folder in the place of this one.
    """
    for folder in reversed(path.parents):
        if not folder.exists():
            folder.mkdir(mode=_WAY, exist_ok=True)
    path.mkdir(mode=mode, exist_ok=True)
