"""Checks of the machine that ddpm runs on: engine, data folder, disk, files, port, certificates."""

import errno
import os
import platform
import resource
import shutil
import socket
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from ddpm import __version__
from ddpm.config import ConfigProblems
from ddpm.config.model import Config, Pipeline
from ddpm.engine import binary
from ddpm.errors import DdpmError, MissingToolError
from ddpm.orchestrator.doctor.findings import Check, Finding, Verdict
from ddpm.orchestrator.embedded import check_embedded, embedded_servers_of
from ddpm.orchestrator.prepare import DATA_DIR
from ddpm.orchestrator.run.checking import check_if_built
from ddpm.orchestrator.run.datafolder import check_folder, check_unheld
from ddpm.words import counted

# An engine of one pipeline has some 40, ddpm itself some 60 and as many again for each pipeline.
_FILES_OF_DDPM, _FILES_OF_A_PIPELINE = 128, 64
_MEGABYTE = 1_000_000
_DISK_FULL, _DISK_LOW = 50 * _MEGABYTE, 1_000 * _MEGABYTE
_DAYS_LEFT = 30
_HINTS_OF_PORTS = {
    errno.EADDRINUSE: "end that program, or choose another app.server.port",
    errno.EACCES: "ports below 1024 need a right that ddpm does not have: choose another app.server.port",
}
_OTHER_ADDRESS = "correct app.server.host: it must be an address of this machine"


def machine_checks(config: Config | None) -> list[Check]:
    """Those that can be made; without a configuration those that need none."""
    checks = [
        Check("ddpm.version", "", _version),
        Check("data.folder", str(DATA_DIR), _data_folder),
        Check("files.open", "", lambda: _open_files(len(config.pipelines) if config else 1)),
    ]
    if config is None:
        return [*checks, Check("engine.binary", "", lambda: _engine(None))]
    engines = dict.fromkeys(each.engine.binary for each in config.pipelines if each.engine.launcher == "process")
    server = config.server
    return [
        *checks,
        *(_of_engine(each, config) for each in engines),
        Check("server.port", f"{server.host}:{server.port}", lambda: _port(server.host, server.port)),
        Check("embedded", "", lambda: _embedded(config)),
        Check("certificates", "", lambda: _certificates(config.pipelines)),
    ]


def _of_engine(configured: Path | None, config: Config) -> Check:
    own = tuple(each for each in config.pipelines if each.engine.binary == configured)
    mappings = Check("mappings", config.path.name, lambda: _mappings(config.model_copy(update={"pipelines": own})))
    return Check("engine.binary", str(configured or ""), lambda: _engine(configured), (mappings,))


def _mappings(config: Config) -> Iterator[Finding]:
    """Whether the engine accepts the pipelines, if it is built."""
    try:
        checked = check_if_built(config)
    except ConfigProblems as problems:
        yield Finding("mappings", config.path.name, "fail", str(problems), "correct it there; `ddpm parse` tries it")
        return
    if checked:
        yield Finding("mappings", config.path.name, "pass", "the engine accepts all mappings and schema files")


def _embedded(config: Config) -> Iterator[Finding]:
    """Whether the embedded servers can run; those of a configuration that runs have addresses by now."""
    check_embedded(config)
    if wanted := embedded_servers_of(config):
        text = f"the embedded {' and '.join(wanted)} can run, and do not yet"
        yield Finding("embedded", "", "pass", text)


def _version() -> Iterator[Finding]:
    yield Finding("ddpm.version", "", "pass", f"ddpm {__version__} on Python {platform.python_version()}")


def _engine(configured: Path | None) -> Iterator[Finding]:
    named = os.environ.get(binary.ENGINE_VARIABLE)
    found = configured or (Path(named) if named else binary.installed())
    if found is None:
        hint = "`ddpm engine install` builds it now"
        yield Finding("engine.binary", "", "warn", "the engine is not built yet; the first start builds it", hint)
        return
    own = configured is None and not named
    try:
        binary.check_plugin(found)
    except DdpmError as error:
        hint = f"remove {found.parent}, and the next start builds it again" if own else error.hint or ""
        yield Finding("engine.binary", str(found), "fail", error.message, hint)
        return
    yield Finding("engine.binary", str(found), "pass", f"the engine answers: Bento {binary.version(found)}")


def _data_folder() -> Iterator[Finding]:
    """Whether ddpm can keep its state, and has room for it."""
    where = DATA_DIR.absolute()
    check_folder(DATA_DIR)
    if where.exists() and not where.is_dir():
        yield Finding("data.folder", str(DATA_DIR), "fail", f"{where} is a file", "move it: ddpm keeps its state there")
        return
    there = next(each for each in (where, *where.parents) if each.is_dir())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        text = f"{there} cannot be written: {error.strerror}"
        yield Finding("data.folder", str(DATA_DIR), "fail", text, "start ddpm in a folder that it may write to")
        return
    yield Finding("data.folder", str(DATA_DIR), "pass", f"{where} can be written")
    free = shutil.disk_usage(there).free
    verdict: Verdict = "fail" if free < _DISK_FULL else "warn" if free < _DISK_LOW else "pass"
    hint = "" if verdict == "pass" else "make room: ddpm keeps its state and its embedded servers' data there"
    yield Finding(
        "data.disk", str(DATA_DIR), verdict, f"{free // _MEGABYTE:,} MB are free on the disk of {there}", hint
    )


def _open_files(pipelines: int) -> Iterator[Finding]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = _FILES_OF_DDPM + _FILES_OF_A_PIPELINE * pipelines
    if soft == resource.RLIM_INFINITY or soft >= needed:
        yield Finding("files.open", "", "pass", f"ddpm may open {'any number of' if soft < 0 else f'{soft:,}'} files")
        return
    text = f"ddpm may open {soft:,} files, and needs about {needed:,} for {counted(pipelines, 'pipeline')}"
    raised = f"`ulimit -n {needed}`" if hard < 0 or hard >= needed else f"a hard limit of {needed} (limits.conf)"
    yield Finding("files.open", "", "fail", text, f"raise it: {raised}, LimitNOFILE= in a systemd unit")


def _port(host: str, port: int) -> Iterator[Finding]:
    about = f"{host}:{port}"
    try:
        check_unheld(DATA_DIR)
    except MissingToolError as held:
        yield Finding("server.port", about, "pass", held.message)
        return
    if port == 0:
        yield Finding("server.port", about, "pass", "the system chooses a free port")
        return
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        text = f"the port cannot be used: {error.strerror}{_holder(port)}"
        yield Finding("server.port", about, "fail", text, _HINTS_OF_PORTS.get(error.errno or 0, _OTHER_ADDRESS))
        return
    yield Finding("server.port", about, "pass", "the port is free")


def _holder(port: int) -> str:
    """Which process listens on a port, as far as /proc tells this user."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        try:
            rows = Path("/proc/net", table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in map(str.split, rows):
            if int(row[1].rpartition(":")[2], 16) == port and row[3] == _LISTENS:
                inodes.add(f"socket:[{row[9]}]")
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(link.readlink()) in inodes:
                process = link.parents[1]
                command = (process / "comm").read_text().strip()
                return f"; process {process.name} ({command}) listens there"
        except OSError:
            continue
    return ""


# A state of TCP as /proc/net/tcp has it.
_LISTENS = "0A"


def _certificates(pipelines: Sequence[Pipeline]) -> Iterator[Finding]:
    """Whether certificates that ddpm shows or trusts end soon."""
    for path, own in dict.fromkeys(each for pipeline in pipelines for each in _certificate_files(pipeline)):
        yield _certificate(path, own=own)


def _certificate_files(pipeline: Pipeline) -> Iterator[tuple[Path, bool]]:
    """The files, and whether a file holds ddpm's own certificate."""
    tls = pipeline.kafka.cluster.security.tls
    named = [(tls.ca, False), (tls.cert, True)] if tls else []
    if (server := pipeline.server.tls) is not None:
        named += [(server.cert, True), (server.client_ca, False)]
    if pipeline.table is not None and not any(sink.embedded for sink in pipeline.configured):
        # Here, since the command that has no database to ask does without its client.
        from ddpm.store.connection import parts

        given = parts(pipeline.table.url)
        named += [(Path(given[key]), key == "sslcert") for key in ("sslrootcert", "sslcert") if given.get(key)]
    yield from ((path, own) for path, own in named if path is not None)


def _certificate(path: Path, *, own: bool) -> Finding:
    from cryptography.x509 import load_pem_x509_certificates

    try:
        ends = [each.not_valid_after_utc for each in load_pem_x509_certificates(path.read_bytes())]
    except (OSError, ValueError) as error:
        return Finding("certificates", str(path), "fail", f"{path} cannot be read: {error}", "correct its path")
    # Of authorities it is enough that one is valid; its own certificate is the first one.
    last = ends[0] if own else max(ends)
    days = (last - datetime.now(UTC)).days
    if days < 0:
        return Finding("certificates", str(path), "fail", f"{path} ended on {last:%Y-%m-%d}", "renew it")
    if days < _DAYS_LEFT:
        text = f"{path} ends in {counted(days, 'day')}, on {last:%Y-%m-%d}"
        return Finding("certificates", str(path), "warn", text, "renew it before")
    return Finding("certificates", str(path), "pass", f"{path} is valid until {last:%Y-%m-%d}")
