"""The user's cache folder: things that are made once, under a name that says what they were made from.

A folder appears in it complete or not at all, also when two processes make it at once or one of them is killed.
What is made, and how, is the caller's business.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from ddpm.errors import MissingToolError

CACHE_DIR_VARIABLE = "DDPM_CACHE_DIR"


def cache_dir() -> Path:
    """The folder for what can be fetched or built again; `DDPM_CACHE_DIR` names another one."""
    configured = os.environ.get(CACHE_DIR_VARIABLE)
    return Path(configured).expanduser().resolve() if configured else Path(platformdirs.user_cache_dir("ddpm"))


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold `path` locked against every other process and thread, waiting for it as long as needed.

    The lock ends with the process that holds it, in whatever way that ends.

    Raises:
        MissingToolError: The folder of the lock cannot be written.

    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("a")
    except OSError as error:
        msg = f"cannot write to the cache folder {path.parent}: {error.strerror}"
        raise MissingToolError(
            msg, hint=f"name another one in the environment variable {CACHE_DIR_VARIABLE}"
        ) from error
    with stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def make_once(folder: Path, make: Callable[[Path], None], complete: Callable[[Path], bool] = Path.is_dir) -> Path:
    """Return `folder`, made by `make` if it is not there yet.

    Args:
        folder: Where the result stands for good; its name must change with its content.
        make: Fills the empty folder that it is given; whatever it raises leaves nothing behind.
        complete: Reports whether an existing folder can be used as it is; otherwise it is made again.

    Raises:
        MissingToolError: The cache folder cannot be written.

    """
    if complete(folder):
        return folder
    with file_lock(folder.with_name(f".{folder.name}.lock")):
        if complete(folder):
            return folder
        for abandoned in folder.parent.glob(f".{folder.name}.part-*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.part-", dir=folder.parent))
        try:
            part.chmod(0o755)
            make(part)
            if folder.exists():
                shutil.rmtree(folder)
            part.rename(folder)
        except OSError as error:
            raise _unwritable(folder.parent, error) from error
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return folder


def _unwritable(folder: Path, error: OSError) -> MissingToolError:
    msg = f"cannot write to the cache folder {folder}: {error.strerror or error}"
    return MissingToolError(msg, hint=f"name another one in the environment variable {CACHE_DIR_VARIABLE}")
