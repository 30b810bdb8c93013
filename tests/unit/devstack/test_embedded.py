"""When an embedded server counts as started: when it answers itself, and no stranger does in its place."""

import signal
import sys
from pathlib import Path

import pytest

from ddpm.devstack.embedded import EmbeddedServer
from ddpm.devstack.processes import ServerCommand
from ddpm.errors import ServiceError

LISTENS = "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(60)"
SLEEPS = "import time; time.sleep(60)"


class Program(EmbeddedServer):
    """A server of a few words that always seems to answer."""

    start_seconds = 5.0

    def __init__(self, folder: Path, code: str) -> None:
        super().__init__("the program", folder, "program.log", None, None)
        self._code = code

    def _prepare(self) -> None:
        """Nothing has to be made."""

    def _command(self, port: int) -> ServerCommand:
        argv = (sys.executable, "-c", self._code, str(port))
        return ServerCommand(self.title, argv, self.data_dir, self.log, {}, signal.SIGTERM)

    def _answers(self, _port: int) -> bool:
        return True


def test_it_has_started_when_it_listens_itself(tmp_path: Path) -> None:
    with Program(tmp_path, LISTENS) as server:
        assert server.pid is not None


def test_a_stranger_that_answers_is_not_taken_for_it(tmp_path: Path) -> None:
    server = Program(tmp_path, SLEEPS)
    server.start_seconds = 0.5
    with pytest.raises(ServiceError, match="the program did not answer within"):
        server.start()
    assert server.pid is None
