"""Both embedded servers together, and what is left when their ddpm is killed."""

import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ddpm.devstack import DevStack, leftovers, remove_data, stop_leftovers
from ddpm.devstack.kafka import answers
from ddpm.errors import MissingToolError
from harness.waiting import eventually

PROGRAM = """
import sys
from pathlib import Path
from ddpm.devstack import DevStack
with DevStack(Path(sys.argv[1]), kafka=True, postgres=True):
    print("up", flush=True)
    input()
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ddpm-test-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder / ".ddpm"
        remove_data(folder / ".ddpm")


def test_servers_are_owned_by_one_ddpm_and_end_with_it(data_dir: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(data_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"up\n"
        assert {left.title for left in leftovers(data_dir)} == {"the embedded Kafka", "the embedded PostgreSQL"}
        with pytest.raises(MissingToolError, match=f"is in use by pid {owner.pid}"):
            stop_leftovers(data_dir)
        with pytest.raises(MissingToolError, match=f"is in use by pid {owner.pid}"):
            DevStack(data_dir, kafka=True, postgres=True).start()
        owner.kill()
    # Without a pause: the guards are just about to end the servers of the killed one.
    with DevStack(data_dir, kafka=True, postgres=True) as stack:
        assert stack.kafka is not None
        assert stack.postgres is not None
        assert answers(stack.kafka.port)
        with psycopg.connect(stack.postgres.dsn) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
    assert leftovers(data_dir) == []


def test_nothing_is_left_of_a_killed_ddpm(data_dir: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(data_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"up\n"
        owner.kill()
    eventually(lambda: not leftovers(data_dir), "nothing is left", 15)


def test_a_server_that_fails_takes_the_other_one_along(data_dir: Path) -> None:
    (data_dir / "postgres").mkdir(parents=True)
    (data_dir / "postgres" / "data").write_text("not a folder")
    with pytest.raises(MissingToolError):
        DevStack(data_dir, kafka=True, postgres=True).start()
    assert leftovers(data_dir) == []


def test_only_what_is_wanted_is_started(data_dir: Path) -> None:
    with DevStack(data_dir, kafka=False, postgres=True) as stack:
        assert stack.kafka is None
        assert [left.title for left in leftovers(data_dir)] == ["the embedded PostgreSQL"]
    assert [path.name for path in data_dir.iterdir()] == ["postgres"]


def test_usual_ports_are_left_to_whoever_has_them(data_dir: Path) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind(("127.0.0.1", 5432))
            other.listen()
        except OSError:
            pass  # somebody has it already, which serves the test as well
        with DevStack(data_dir, kafka=False, postgres=True) as stack:
            assert stack.postgres is not None
            assert stack.postgres.port != 5432
