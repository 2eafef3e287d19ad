"""Which system user the embedded servers run as: ourselves, or for root an account that owns nothing else."""

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from spanflow.cli.problem import Problem

SYSTEM_USER = "spanflow"
FALLBACK_USER = "nobody"


class PrivateFolder(Problem):
    """A folder on the way to the data is closed to the account that has to work in it."""


@dataclass(frozen=True, slots=True)
class Account:
    uid: int
    gid: int
    name: str

    @property
    def is_me(self) -> bool:
        return self.uid == os.geteuid()

    def own(self, path: Path) -> None:
        """Hand a file or folder of ours over to this account."""
        if not self.is_me:
            os.chown(path, self.uid, self.gid)

    def can_reach(self, path: Path) -> bool:
        """Whether it may enter every folder above `path`. (Access lists are not looked at.)"""
        return all(self._can_enter(folder) for folder in path.resolve().parents)

    def must_reach(self, path: Path, *, advice: str) -> None:
        """Refuse, with advice. We do not make private folders world-readable."""
        closed = [folder for folder in path.resolve().parents if not self._can_enter(folder)]
        if closed:
            raise PrivateFolder(
                f"{path} lies in {closed[-1]}, a private folder that the user {self.name!r} cannot enter. "
                f"PostgreSQL refuses to run as root, so the embedded servers run as {self.name!r}. {advice}"
            )

    def _can_enter(self, folder: Path) -> bool:
        if self.is_me:
            return True
        status = folder.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & 0o100)
        if status.st_gid == self.gid:
            return bool(status.st_mode & 0o010)
        return bool(status.st_mode & 0o001)


def server_account(existing_data: Path | None = None) -> Account:
    """The account for the servers. Data that is there already decides, so that it stays readable."""
    if os.geteuid() != 0:
        return my_account()
    if existing_data is not None and existing_data.exists() and (owner := existing_data.stat().st_uid) != 0:
        return _account(pwd.getpwuid(owner))
    return _account(_system_user())


def my_account() -> Account:
    """The account that this process itself runs as, also where the system has no name for it."""
    try:
        return _account(pwd.getpwuid(os.geteuid()))
    except KeyError:
        return Account(os.geteuid(), os.getegid(), str(os.geteuid()))


def _account(entry: pwd.struct_passwd) -> Account:
    return Account(entry.pw_uid, entry.pw_gid, entry.pw_name)


def _system_user() -> pwd.struct_passwd:
    """Our own system user, made when missing; `nobody` where users cannot be made (a read-only image)."""
    for create in (True, False):
        try:
            return pwd.getpwnam(SYSTEM_USER)
        except KeyError:
            if create and (useradd := shutil.which("useradd", path=os.environ.get("PATH", "") + ":/usr/sbin")):
                made = [useradd, "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin"]
                subprocess.run([*made, SYSTEM_USER], capture_output=True, check=False)
    return pwd.getpwnam(FALLBACK_USER)
