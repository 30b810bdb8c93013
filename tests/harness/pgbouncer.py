"""A real PgBouncer in front of a database; in transaction mode each transaction may get another connection."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg

from ddpm.devstack.ports import free_ports
from harness.tools import PGBOUNCER, require
from harness.waiting import eventually

_STOP_TIMEOUT = 10.0
_HOST = "127.0.0.1"


@contextmanager
def pgbouncer(dsn: str, folder: Path, mode: str = "transaction") -> Iterator[str]:
    """Run it while the block runs; yields a URL that leads through it, for the user of `dsn`."""
    program = require(PGBOUNCER)
    (port,) = free_ports(1)
    server = urlsplit(dsn)
    user, password = unquote(server.username or ""), unquote(server.password or "")
    folder.mkdir()
    users, config, log = folder / "users.txt", folder / "pgbouncer.ini", folder / "log"
    users.write_text(f'"{user}" "{password}"\n')
    config.write_text(
        f"[databases]\n* = host={server.hostname} port={server.port}\n"
        f"[pgbouncer]\nlisten_addr={_HOST}\nlisten_port={port}\nunix_socket_dir=\npool_mode={mode}\n"
        f"auth_type=plain\nauth_file={users}\ndefault_pool_size=8\nserver_round_robin=1\n"
    )
    # It refuses to be root, and reads its files as the user that it becomes.
    as_user = ["-u", "nobody"] if os.geteuid() == 0 else []
    with log.open("wb") as output:
        process = subprocess.Popen([program, *as_user, config], stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    url = f"postgresql://{server.username}:{server.password}@{_HOST}:{port}{server.path}"
    try:
        eventually(lambda: _answers(process, url, log), "PgBouncer answers")
        yield url
    finally:
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(process: "subprocess.Popen[bytes]", url: str, log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True
