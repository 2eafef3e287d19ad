"""Folders that nobody else may write into, whatever the umask of the process is."""

from pathlib import Path
from typing import Final

#: Of folders on the way: everybody may look, as is usual.
_WAY: Final = 0o755


def make_private_folder(path: Path, mode: int = 0o700) -> None:
    """Make a folder, and those on the way to it; no-op when it is there. `OSError` when that cannot be done.

    `mkdir(parents=True)` makes those on the way for everybody to write into when the umask says so, and whoever may do
    that can put another folder in the place of this one.
    """
    for folder in reversed(path.parents):
        if not folder.exists():
            folder.mkdir(mode=_WAY, exist_ok=True)
    path.mkdir(mode=mode, exist_ok=True)
