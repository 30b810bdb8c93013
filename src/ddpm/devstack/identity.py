"""As whom Postgres runs, and where: it refuses to run as root, and another user cannot enter every folder.

When ddpm runs as root, Postgres runs as the user `postgres` if the machine has one, otherwise as `nobody`; no user is
created. Where that user cannot enter the data folder or the folder of the programs, they go under `/var/lib/ddpm`, and
a file in the data folder says where. No permissions of existing folders are changed.
"""

import hashlib
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ddpm.engine.cache import make_once
from ddpm.errors import MissingToolError

_USERS = ("postgres", "nobody")
_SHARED = Path("/var/lib/ddpm")
_POINTER = "moved-to"


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine."""

    name: str
    uid: int
    gid: int

    def can_enter(self, folder: Path) -> bool:
        """Whether this user can get into `folder`, asked of the kernel rather than computed from permissions."""
        test = ["/bin/sh", "-c", 'test -x "$1" && test -r "$1"', "sh", str(folder)]
        ran = subprocess.run(test, cwd="/", user=self.uid, group=self.gid, extra_groups=[], check=False)
        return ran.returncode == 0


def account_for_server() -> Account | None:
    """The user to run Postgres as; None means as ddpm itself.

    Raises:
        MissingToolError: ddpm runs as root and the machine has no user for it.

    """
    if os.geteuid() != 0:
        return None
    for name in _USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    msg = f"PostgreSQL refuses to run as root, and this machine has none of the users {', '.join(_USERS)}"
    raise MissingToolError(msg, hint="run ddpm as an ordinary user, or name a database of your own in postgres.url")


def owner_of(data: Path, account: Account | None) -> Account | None:
    """Return whom existing data belongs to, when ddpm runs as root: the server must be run as its owner.

    Without data, or when ddpm is not root, this is `account`.
    """
    if account is None or not data.exists() or data.stat().st_uid == 0:
        return account
    owner = data.stat()
    return Account(f"with the id {owner.st_uid}", owner.st_uid, owner.st_gid)


def place_for_data(data_dir: Path, account: Account | None) -> Path:
    """Return the folder for the server's own files: inside `data_dir` where the user can enter it.

    Raises:
        MissingToolError: There is no place that this user can enter.

    """
    inside = data_dir / "data"
    pointer = data_dir / _POINTER
    if pointer.is_file():
        return Path(pointer.read_text(encoding="utf-8").strip())
    if account is None or inside.exists() or account.can_enter(data_dir):
        return inside
    outside = _shared_folder(account) / f"postgres-{hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]}"
    # Nothing points at it: it belonged to a data folder of this name that somebody has deleted.
    shutil.rmtree(outside, ignore_errors=True)
    outside.mkdir(mode=0o755)
    pointer.write_text(f"{outside / 'data'}\n", encoding="utf-8")
    return outside / "data"


def place_outside(data_dir: Path) -> Path | None:
    """The folder outside `data_dir` that holds its data, if there is one."""
    pointer = data_dir / _POINTER
    return Path(pointer.read_text(encoding="utf-8").strip()).parent if pointer.is_file() else None


def programs_for(programs: Path, account: Account | None, libraries: Path) -> Path:
    """Return the folder of the programs, copied to where the user can enter it if need be.

    Args:
        programs: The folder with `bin`, `lib` and `share`.
        account: Who has to run them.
        libraries: The folder with shared libraries that the programs look for beside their grandparent.

    Raises:
        MissingToolError: There is no place that this user can enter.

    """
    if account is None or account.can_enter(programs / "bin"):
        return programs
    stamp = hashlib.sha256(f"{programs}{programs.stat().st_mtime_ns}".encode()).hexdigest()[:12]

    def copy(part: Path) -> None:
        for name in ("bin", "lib", "share"):
            shutil.copytree(programs / name, part / programs.parent.name / programs.name / name, symlinks=True)
        if libraries.is_dir():
            shutil.copytree(libraries, part / libraries.name)

    copied = make_once(_shared_folder(account) / f"programs-{stamp}", copy)
    return copied / programs.parent.name / programs.name


def _shared_folder(account: Account) -> Path:
    try:
        _SHARED.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        reason = f"{_SHARED} cannot be made: {error.strerror}"
    else:
        if account.can_enter(_SHARED):
            return _SHARED
        reason = f"{_SHARED} is closed to it as well"
    msg = f"PostgreSQL refuses to run as root, the user {account.name} cannot enter this folder, and {reason}"
    hint = "run ddpm as an ordinary user, or from a folder that others can enter, such as one under /srv"
    raise MissingToolError(msg, hint=hint)
