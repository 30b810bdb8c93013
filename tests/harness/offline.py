"""`ddpm` with standard input, on a pipeline whose servers do not exist."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

APP: dict[str, Any] = {
    "kafka": {"brokers": ["kafka.invalid:9092"], "topics": ["orders"], "consumer_group": "orders"},
    "postgres": {
        "url": "postgresql://loader:hunter2secret@db.invalid:5432/shop",
        "table": "orders",
        "columns": {"id": "bigint", "total": "numeric(12,2)", "city": {"type": "text", "from": "address.city"}},
    },
    "processors": [{"filter": "this.total != 0"}],
}


def configure(folder: Path, **sections: Any) -> Path:
    """Write a configuration that differs from APP in these sections."""
    path = folder / "app-config.yaml"
    path.write_text(yaml.safe_dump({"app": APP | sections}))
    return path


def ddpm(*arguments: str, cwd: Path, stdin: bytes = b"") -> "subprocess.CompletedProcess[str]":
    """Run one command to its end."""
    ran = subprocess.run(
        [sys.executable, "-m", "ddpm", *arguments], cwd=cwd, input=stdin, capture_output=True, check=False, timeout=120
    )
    return subprocess.CompletedProcess(ran.args, ran.returncode, ran.stdout.decode(), ran.stderr.decode())


@dataclass(frozen=True)
class Served:
    """A running `ddpm parse --serve`."""

    url: str
    popen: "subprocess.Popen[str]"

    def stop(self, signum: int = signal.SIGINT) -> int:
        """Send a signal and return the exit code."""
        self.popen.send_signal(signum)
        return self.popen.wait(60)

    def engines(self) -> list[int]:
        """The process ids of its engines."""
        tasks = Path(f"/proc/{self.popen.pid}/task").iterdir()
        pids = [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
        return [pid for pid in pids if Path(f"/proc/{pid}/exe").readlink().name == "ddpm-engine"]


@contextmanager
def serving(*arguments: str, cwd: Path) -> Iterator[Served]:
    """Run `ddpm parse --serve` on a free port; nothing is left running."""
    popen = subprocess.Popen(
        [sys.executable, "-m", "ddpm", "parse", "--serve", "--port", "0", *arguments],
        cwd=cwd,
        # One that is killed cannot tidy up.
        env=os.environ | {"TMPDIR": str(cwd)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert popen.stdout is not None
        with popen.stdout:
            said = popen.stdout.readline()
            found = re.search(r"http://127\.0\.0\.1:\d+/", said)
            assert found, said
            yield Served(found.group(), popen)
    finally:
        popen.terminate()
        popen.wait(60)
