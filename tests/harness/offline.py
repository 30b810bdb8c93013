"""`ddpm` with standard input, on a pipeline whose servers do not exist."""

import subprocess
import sys
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
