"""The real `ddpm run`, as a user starts it, in a folder of its own."""

import os
import re
import signal
import ssl
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2 as httpx
import yaml

from harness.waiting import eventually

START_TIMEOUT = 90.0
STOP_TIMEOUT = 60.0
THIS_DDPM = (sys.executable, "-m", "ddpm")
_HEALTH_URL = re.compile(r"https?://127\.0\.0\.1:\d+(?=/health)")


def ddpm(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, program: Sequence[str] = THIS_DDPM
) -> "subprocess.CompletedProcess[str]":
    """Run one command to its end."""
    return subprocess.run(
        [*program, *arguments],
        cwd=cwd,
        env=_environment(env),
        capture_output=True,
        text=True,
        check=False,
        timeout=START_TIMEOUT,
        stdin=subprocess.DEVNULL,
    )


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    inherited = {
        name: value for name, value in os.environ.items() if name not in ("CONFIG_PATH", "INTEGRATION_TEST_MODE")
    }
    # Wide, so that the table of addresses is not wrapped.
    return inherited | {"COLUMNS": "300", "PYTHONUNBUFFERED": "1"} | dict(extra or {})


class Ddpm:
    """One `ddpm run`; a context manager that leaves nothing running."""

    def __init__(
        self,
        config: Mapping[str, Any],
        folder: Path,
        env: Mapping[str, str] | None = None,
        *,
        program: Sequence[str] = THIS_DDPM,
        options: Sequence[str] = (),
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        """`verify` is what its certificate is compared with, where it has one."""
        self.verify = verify
        self.folder = folder
        self.config_path = folder / "app-config.yaml"
        self.config_path.write_text(yaml.safe_dump(dict(config), allow_unicode=True))
        self._env = env
        self._command = [*program, "run", "--config", str(self.config_path), *options]
        self._log_path = folder / "ddpm.log"
        self._url: str | None = None

    def start(self) -> Self:
        with self._log_path.open("ab") as log, (self.folder / "stdout").open("ab") as out:
            self._offset = log.tell()
            self.popen = subprocess.Popen(
                self._command,
                cwd=self.folder,
                env=_environment(self._env),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                start_new_session=True,
            )
        self._url = None
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            sys.stderr.write(f"--- {self._log_path}, last lines\n{self.log[-6000:]}\n")
        if self.popen.poll() is None:
            engine = self._engine_pid()
            self.popen.kill()
            self.popen.wait(STOP_TIMEOUT)
            if engine is not None:
                eventually(lambda: not alive(engine), f"engine {engine} ends with its ddpm", STOP_TIMEOUT)

    @property
    def log(self) -> str:
        """Everything this run has written on its standard error since its last start."""
        with self._log_path.open("rb") as file:
            file.seek(self._offset)
            return file.read().decode("utf-8", "replace")

    @property
    def out(self) -> str:
        """Its standard output."""
        return (self.folder / "stdout").read_text(errors="replace")

    @property
    def url(self) -> str:
        """The address it prints for people."""
        if self._url is None:
            self._url = eventually(self._printed_url, "ddpm prints where to look", START_TIMEOUT)
        return self._url

    def _printed_url(self) -> str | None:
        if self.popen.poll() is not None:
            msg = f"ddpm ended with {self.popen.returncode}:\n{self.log[-4000:]}"
            raise AssertionError(msg)
        match = _HEALTH_URL.search(self.log)
        return match.group() if match else None

    def health(self) -> tuple[int, dict[str, Any]]:
        """The status code and body of /health; 0 when nobody answers."""
        try:
            answer = httpx.get(f"{self.url}/health", timeout=10, trust_env=False, verify=self.verify)
        except httpx.HTTPError:
            return 0, {}
        return answer.status_code, answer.json()

    def metrics(self) -> str:
        return httpx.get(f"{self.url}/metrics", timeout=10, trust_env=False, verify=self.verify).text

    def wait_healthy(self) -> Self:
        eventually(lambda: self.health()[0] == httpx.codes.OK, "ddpm is healthy", START_TIMEOUT)
        return self

    @property
    def engine_pid(self) -> int:
        """The process id of the first pipeline's engine."""
        return eventually(self._engine_pid, "an engine runs", START_TIMEOUT)

    def _engine_pid(self) -> int | None:
        if self._url is None and not _HEALTH_URL.search(self.log):
            return None
        _, body = self.health()
        replicas = body["pipelines"][0]["replicas"] if body else []
        pid: int | None = replicas[0]["pid"] if replicas else None
        return pid

    def stop(self, signum: int = signal.SIGTERM, timeout: float = STOP_TIMEOUT) -> int:
        """Send a signal and return the exit code."""
        self.popen.send_signal(signum)
        return self.popen.wait(timeout)


def alive(pid: int) -> bool:
    """Whether a process runs (one that only waits to be reaped does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
