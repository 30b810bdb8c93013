"""A real Apache Kafka (KRaft, one node) on the loopback interface, for first steps, tests and benchmarks."""

import base64
import shutil
import signal
import socket
import struct
import subprocess
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ddpm.devstack.embedded import STOP_SECONDS, EmbeddedServer
from ddpm.devstack.jars import kafka_jars
from ddpm.devstack.java import find_java
from ddpm.devstack.ports import HOST, free_ports
from ddpm.devstack.processes import ServerCommand, clean_environment, end_processes, find_processes
from ddpm.engine.progress import Progress
from ddpm.errors import MissingToolError

if TYPE_CHECKING:
    import psutil

DEFAULT_PORT = 9092
MESSAGE_MAX_BYTES = 2_097_152

TITLE = "the embedded Kafka"
_METADATA_KEY = 3
# A quick start and a small footprint matter more here than peak speed: one garbage collector thread, the first
# compiler only.
_JVM = ("-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xshare:auto")
_JAVA_LOG = (
    "-Dlog4j2.statusLoggerLevel=OFF",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
)


class EmbeddedKafka(EmbeddedServer):
    """A broker at `bootstrap`; its topics live in `data_dir`. Kafka and Java are fetched before the first start."""

    def __init__(self, data_dir: Path, port: int | None = None, *, progress: Progress | None = None) -> None:
        """Describe it; nothing runs yet.

        Args:
            data_dir: Holds everything of this server; made if absent.
            port: The port to take if it is free; None or a taken one means any free port.
            progress: Notified about downloads on the first start.

        """
        super().__init__(TITLE, data_dir, "kafka.log", port, progress)
        self._data = self.data_dir / "data"
        self._java = Path()
        self._classpath = ""

    @property
    def bootstrap(self) -> str:
        """The address for clients, `127.0.0.1:PORT`."""
        return f"{HOST}:{self._port}"

    def _prepare(self) -> None:
        end_processes(running_on(self.data_dir), signal.SIGTERM, STOP_SECONDS)
        self._java = find_java(self._progress)
        self._classpath = f"{kafka_jars(self._progress)}/*"
        if not (self._data / "meta.properties").exists():
            self._format()

    def _command(self, port: int) -> ServerCommand:
        properties = self._write_properties(self._data, port, *free_ports(1))
        return ServerCommand(
            title=self.title,
            argv=(str(self._java), _marker(self.data_dir), *self._options(), "kafka.Kafka", str(properties)),
            cwd=self.data_dir,
            log=self.log,
            env=_environment(),
            stop_signal=signal.SIGTERM,
        )

    def _answers(self, port: int) -> bool:
        return answers(port)

    def _java_options(self) -> tuple[str, ...]:
        """More options of Java, for tests."""
        return ()

    def _format_options(self) -> tuple[str, ...]:
        """More options of the tool that formats the data folder, for tests."""
        return ()

    def _options(self) -> tuple[str, ...]:
        return (*_JVM, *self._java_options(), *_JAVA_LOG, "-cp", self._classpath)

    def _cluster_id(self) -> str:
        """The identifier that the data folder is formatted with; tests have several brokers share one."""
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # An identifier that begins like an option would be taken for one.
        return cluster.replace("-", "a", 1) if cluster.startswith("-") else cluster

    def _format(self) -> None:
        """Make the data folder beside its place, so that a half-made one is never used."""
        fresh = self.data_dir / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        properties = self._write_properties(fresh, *free_ports(2))
        command = [str(self._java), *self._options(), "kafka.tools.StorageTool", "format"]
        command += ["--cluster-id", self._cluster_id(), "--config", str(properties), "--ignore-formatted"]
        command += self._format_options()
        ran = subprocess.run(
            command, cwd=self.data_dir, env=_environment(), capture_output=True, text=True, check=False
        )
        if ran.returncode:
            said = "\n".join((ran.stdout + ran.stderr).strip().splitlines()[-5:])
            msg = f"{self.title} could not format its data folder {self.data_dir}:\n{said}"
            raise MissingToolError(msg)
        fresh.rename(self._data)

    def _write_properties(self, logs: Path, port: int, controller_port: int) -> Path:
        settings = self._settings(logs, port, controller_port)
        path = self.data_dir / "server.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()), encoding="utf-8")
        return path

    def _settings(self, logs: Path, port: int, controller_port: int) -> dict[str, str | int]:
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{HOST}:{controller_port}",
            "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": logs.name,  # from the data folder, where the broker runs
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 5,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 5,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "share.coordinator.state.topic.num.partitions": 5,
            "group.initial.rebalance.delay.ms": 0,
            "message.max.bytes": MESSAGE_MAX_BYTES,
            "log.cleaner.dedupe.buffer.size": 16_777_216,
            "num.recovery.threads.per.data.dir": 2,
            # After a crash the broker is let in again when its former session has run out.
            "broker.heartbeat.interval.ms": 500,
            "broker.session.timeout.ms": 6_000,
            "initial.broker.registration.timeout.ms": 60_000,
        }


def running_on(data_dir: Path) -> "list[psutil.Process]":
    """The brokers that run on a data folder, no matter who started them."""
    marker = _marker(data_dir.resolve())
    return find_processes(lambda process: marker in process.cmdline())


def _marker(data_dir: Path) -> str:
    return f"-Dddpm.data={data_dir}"


def _environment() -> dict[str, str]:
    # Options for other people's Java programs (a debugger's port, an agent) would hit this one as well.
    return clean_environment("KAFKA_", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH")


def answers(port: int) -> bool:
    """Whether a broker on `port` serves clients.

    Asks for the metadata of no topic (Metadata v1) and looks for a broker in the answer. An open port is not enough: a
    broker listens before it is registered. Format: Kafka's protocol guide.
    """
    client = b"ddpm"
    header = struct.pack(">hhih", _METADATA_KEY, 1, 1, len(client)) + client
    request = header + struct.pack(">i", 0)
    with suppress(OSError, struct.error), socket.create_connection((HOST, port), timeout=1.0) as connection:
        connection.settimeout(5.0)
        connection.sendall(struct.pack(">i", len(request)) + request)
        with connection.makefile("rb") as answer:
            length, _correlation, brokers = struct.unpack(">iii", answer.read(12))
            return bool(length > 0 and brokers > 0)
    return False
