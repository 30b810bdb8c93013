"""A real systemd as the first process of namespaces of its own, with one unit: nothing of the machine's is touched."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import ddpm
from harness.waiting import eventually

SYSTEMD = Path("/lib/systemd/systemd")
_NAMESPACES = ("unshare", "--pid", "--mount", "--cgroup", "--uts", "--ipc", "--fork", "--kill-child")

# Folders that systemd writes are emptied and cover the machine's; mounts go no way out.
_BOOT = """\
set -eu
mount --make-rprivate /
mount -t proc proc /proc
mount -o bind,ro /proc/sys /proc/sys
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for folder in /run /opt /var/lib; do mount -t tmpfs tmpfs $folder; done
mkdir /run/etc /run/etc.work
mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/etc.work /etc
mount -t tmpfs tmpfs /etc/systemd/system
mkdir -p /opt/ddpm/bin /opt/ddpm/cache/engine /run/lock /var/lib/private /etc/systemd/system/ddpm.service.d
chmod 700 /var/lib/private
cp {unit} /etc/systemd/system/ddpm.service
cp {drop_in} /etc/systemd/system/ddpm.service.d/test.conf
cp {target} /etc/systemd/system/test.target
cp {program} /opt/ddpm/bin/ddpm
mount --bind {engines} /opt/ddpm/cache/engine
cp -aT {etc} /etc/ddpm
mount --make-rshared /
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=test {systemd} --system --unit=test.target --log-target=null
"""
_TARGET = "[Unit]\nDefaultDependencies=no\n"


@dataclass(frozen=True)
class Service:
    """`ddpm.service` in a systemd of its own."""

    _pid: int
    log: Path

    def ctl(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run systemctl there."""
        command = ["nsenter", "--target", str(self._pid), "--mount", "--pid", "systemctl", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    def shown(self, name: str) -> str:
        """A property of the unit."""
        return self.ctl("show", "ddpm.service", "--property", name, "--value").stdout.strip()

    def signal(self, name: str) -> None:
        """Send a signal to ddpm alone."""
        assert self.ctl("kill", "--kill-whom=main", f"--signal={name}", "ddpm.service").returncode == 0


def require_namespaces() -> None:
    """Skip where no systemd can be started in namespaces."""
    if not SYSTEMD.is_file():
        pytest.skip("systemd is missing: `make test-tools` fetches it")
    tried = subprocess.run([*_NAMESPACES, "mount", "--make-rprivate", "/"], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip("needs the right to make namespaces and mounts")


@contextmanager
def service(unit: Path, etc: Path, engine: Path, folder: Path, settings: Mapping[str, str]) -> Iterator[Service]:
    """Boot a systemd that knows `unit`.

    Args:
        unit: The unit as it is shipped.
        etc: What /etc/ddpm holds.
        engine: The engine in the cache folder.
        folder: For files of the boot.
        settings: Lines for its section [Service] that a test needs besides.

    """
    require_namespaces()
    log = folder / "service.log"
    # This Python and this checkout may be in a home, or in /tmp, which the unit hides.
    visible = {sys.base_prefix, sys.prefix, str(Path(ddpm.__file__).parents[1]), str(Path(ddpm.__file__).parents[2])}
    lines = {
        "ProtectHome": "tmpfs",
        "BindReadOnlyPaths": " ".join(sorted(visible)),
        "StandardOutput": f"append:{log}",
        "StandardError": f"append:{log}",
        **settings,
    }
    files = {
        "drop_in": "[Unit]\nDefaultDependencies=no\n[Service]\n" + "".join(f"{k}={v}\n" for k, v in lines.items()),
        "target": _TARGET,
        "program": f"#!{sys.executable}\nimport sys\nfrom ddpm.cli import main\nsys.exit(main())\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    (folder / "program").chmod(0o755)
    paths = {name: folder / name for name in files}
    paths |= {"unit": unit, "etc": etc, "engines": engine.parents[1], "systemd": SYSTEMD}
    script = _BOOT.format(**{name: shlex.quote(str(path)) for name, path in paths.items()})
    with (folder / "boot.log").open("wb") as said:
        booted = subprocess.Popen(
            [*_NAMESPACES, "sh", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    try:
        running = Service(_child(booted, folder / "boot.log"), log)
        eventually(lambda: running.ctl("is-system-running").stdout.strip() == "running", "systemd is up", 30)
        yield running
    finally:
        # It takes everything in its namespace with it.
        os.killpg(booted.pid, signal.SIGKILL)
        booted.wait()


def _child(booted: "subprocess.Popen[bytes]", log: Path) -> int:
    def found() -> int | None:
        assert booted.poll() is None, log.read_text()
        children = Path(f"/proc/{booted.pid}/task/{booted.pid}/children").read_text().split()
        return int(children[0]) if children else None

    return eventually(found, "the namespaces are there", 10)
