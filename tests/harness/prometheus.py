"""A real Prometheus and a real PushGateway, each on a free port of loopback and with a folder of its own."""

import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx2 as httpx
import yaml

from ddpm.devstack.ports import free_ports
from harness.tools import PROMETHEUS, PROMTOOL, PUSHGATEWAY, require
from harness.waiting import eventually

STOP_TIMEOUT = 30.0

Labels = frozenset[tuple[str, str]]


class _Server:
    """A process that answers on `url` while the block runs."""

    ready_path = "/-/ready"

    def __init__(self, folder: Path, program: Path, *arguments: str) -> None:
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self._log = folder / f"{program.name}.log"
        self._folder = folder
        self._command = [str(program), f"--web.listen-address=127.0.0.1:{port}", *arguments]

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        eventually(self._ready, f"{self._command[0]} is ready (see {self._log})")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ready(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        try:
            return httpx.get(self.url + self.ready_path, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def get(self, path: str, **parameters: str) -> httpx.Response:
        return httpx.get(self.url + path, params=parameters, trust_env=False).raise_for_status()


class Prometheus(_Server):
    """Scrapes one address once a second as the job `ddpm`; `access` are keys of `scrape_configs`."""

    def __init__(self, folder: Path, target: str, **access: Any) -> None:
        job = {"job_name": "ddpm", "static_configs": [{"targets": [urlsplit(target).netloc]}]}
        config = {"global": {"scrape_interval": "1s"}, "scrape_configs": [job | access]}
        path = folder / "prometheus.yml"
        path.write_text(yaml.safe_dump(config))
        data = f"--storage.tsdb.path={folder / 'tsdb'}"
        super().__init__(folder, require(PROMETHEUS), f"--config.file={path}", data)

    def query(self, expression: str) -> dict[Labels, float]:
        """The present answer to a query: labels without name, job and instance, to values."""
        result = self.get("/api/v1/query", query=expression).json()["data"]["result"]
        return {
            frozenset(
                (name, value) for name, value in each["metric"].items() if name not in ("__name__", "job", "instance")
            ): float(each["value"][1])
            for each in result
        }

    def target(self) -> dict[str, Any]:
        """What it says of the address that it scrapes."""
        target: dict[str, Any]
        (target,) = self.get("/api/v1/targets").json()["data"]["activeTargets"]
        return target


class PushGateway(_Server):
    """Keeps what is pushed to it."""

    def __init__(self, folder: Path) -> None:
        # Debian's build keeps what was pushed in a place that all of them share.
        kept = f"--persistence.file={folder / 'pushgateway.data'}"
        super().__init__(folder, require(PUSHGATEWAY), kept)


def promtool_findings(page: str) -> str:
    """What `promtool check metrics` has to say about a page; empty when all is well."""
    done = subprocess.run(
        [require(PROMTOOL), "check", "metrics"], input=page, capture_output=True, text=True, check=False
    )
    findings = done.stdout + done.stderr
    return findings or ("" if done.returncode == 0 else f"exit code {done.returncode}")
