"""Both clients connect with the same parts of a Postgres URL, and to what these parts name."""

import shutil
import socket
import socketserver
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ddpm.config.address import AddressError, parse_address
from ddpm.devstack import EmbeddedPostgres
from ddpm.engine.progress import Progress
from ddpm.store.connection import connect, keywords
from harness.addresses import PRINTABLE, dice_of, mutated, read_by_the_engine, written
from harness.standby import standby_pair

TLS = {
    "disable": ["none"],
    "allow": ["none", "encrypted"],
    "prefer": ["encrypted", "none"],
    "require": ["encrypted"],
}


def generated() -> list[str]:
    """500 URLs, every third one with a slip of the hand."""
    dice = dice_of(11)
    urls = [written(dice).url for _ in range(500)]
    return [mutated(dice, url) if index % 3 == 0 else url for index, url in enumerate(urls)]


def is_address(url: str) -> bool:
    try:
        parse_address(url)
    except AddressError:
        return False
    return True


def read_by_libpq(url: str) -> dict[str, str]:
    return {
        name: str(value) for name, value in conninfo_to_dict(make_conninfo("", **keywords(url, 10, "ddpm"))).items()
    }


def test_both_clients_connect_with_the_same_parts(tmp_path: Path) -> None:
    urls = generated()
    taken = [url for url in urls if is_address(url)]
    assert {url for index, url in enumerate(urls) if index % 3} <= set(taken)
    assert 0 < len(urls) - len(taken) < len(urls) / 3
    for url, engine in zip(taken, read_by_the_engine(tmp_path, taken), strict=True):
        assert "error" not in engine, (url, engine)
        libpq = read_by_libpq(url)
        servers = list(zip(libpq["host"].split(","), map(int, libpq["port"].split(",")), strict=True))
        assert list(zip(engine["hosts"], engine["ports"], strict=True)) == without_repetition(servers), url
        for name in ("user", "password", "dbname", "channel_binding"):
            assert engine[name] == libpq.get(name, ""), (url, name)
        assert engine["params"]["application_name"] == libpq["application_name"], url
        assert engine["params"].get("options", "") == libpq.get("options", ""), url
        assert engine["params"].keys() <= {"application_name", "options", "client_encoding"}, url
        assert engine["params"]["client_encoding"] == libpq["client_encoding"] == "UTF8"
        assert engine["writable"] == (libpq["target_session_attrs"] != "any"), url
        wanted_timeout = int(parse_address(url).options.get("connect_timeout", "0"))
        assert engine["connect_timeout"] == wanted_timeout, url
        if all(not host.startswith("/") for host, _ in servers):
            assert engine["tls"] == TLS[libpq["sslmode"]] * len(servers), url


def without_repetition(servers: list[tuple[str, int]]) -> list[tuple[str, int]]:
    return [server for index, server in enumerate(servers) if index == 0 or server != servers[index - 1]]


@pytest.fixture
def odd(postgres: EmbeddedPostgres) -> Iterator[tuple[str, str, str]]:
    """A role and a database whose names, and a password that, hold every printable character of ASCII."""
    user, password, database = f"u{PRINTABLE}"[:60], f"{PRINTABLE}ä", f"d{PRINTABLE[40:]}"
    role, base = (sql.Identifier(name) for name in (user, database))
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
        connection.execute(create.format(role, sql.Literal(password)))
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(base, role))
    yield user, password, database
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(base))
        connection.execute(sql.SQL("DROP ROLE {}").format(role))


@contextmanager
def socket_in(folder: Path, port: int) -> Iterator[None]:
    """A Unix socket in a folder, as a server of Postgres would have one there, that leads to the one on a TCP port."""

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", port)) as server:
                back = threading.Thread(target=relay, args=(server, self.request))
                back.start()
                relay(self.request, server)
                back.join()

    def relay(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    with socketserver.ThreadingUnixStreamServer(str(folder / ".s.PGSQL.5433"), Relay) as listening:
        threading.Thread(target=listening.serve_forever, args=(0.05,)).start()
        yield
        listening.shutdown()


def test_a_socket_behind_a_host_where_nobody_listens(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    server = urlsplit(postgres.dsn)
    folder = Path(tempfile.mkdtemp(prefix="ddpm socket "))
    try:
        with socket_in(folder, int(server.port or 0)), socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            hosts = f"127.0.0.1:{closed.getsockname()[1]},{quote(str(folder), safe='')}:5433"
            url = f"postgresql://{server.username}:{server.password}@{hosts}{server.path}"
            with connect(url) as connection:
                row = connection.execute("SELECT current_user::text, current_database()::text").fetchone()
            assert row == (server.username, server.path[1:])
            (engine,) = read_by_the_engine(tmp_path, [url], DDPM_TEST_ADDRESSES_ASKED="yes")
            assert tuple(engine["row"][:2]) == row
    finally:
        shutil.rmtree(folder)


def test_nothing_comes_from_the_environment(postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PGHOST": "nowhere.invalid", "PGHOSTADDR": "192.0.2.1", "PGPASSWORD": "wrong", "PGSSLMODE": "require",
        "PGOPTIONS": "-c search_path=elsewhere", "PGTARGETSESSIONATTRS": "standby", "PGSSLROOTCERT": "/nowhere",
        "PGCLIENTENCODING": "LATIN1", "PGAPPNAME": "psql",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with connect(postgres.dsn.replace("?sslmode=disable", "")) as connection:
        row = connection.execute(
            "SELECT current_setting('search_path'), current_setting('application_name')"
        ).fetchone()
    assert row == ('"$user", public', "ddpm")


def test_a_role_a_database_and_a_password_of_every_character(
    postgres: EmbeddedPostgres, odd: tuple[str, str, str], tmp_path: Path
) -> None:
    user, password, database = (quote(text, safe="") for text in odd)
    port = urlsplit(postgres.dsn).port
    url = (
        f"postgresql://{user}:{password}@127.0.0.1:{port}/{database}?options=-c%20timezone%3DAsia/Kolkata&keepalives=1"
    )
    with connect(url) as connection:
        row = connection.execute("SELECT current_user::text, current_database()::text, current_setting('timezone')")
        assert row.fetchone() == (odd[0], odd[2], "Asia/Kolkata")
    (engine,) = read_by_the_engine(tmp_path, [url], DDPM_TEST_ADDRESSES_ASKED="yes")
    assert engine["row"][:3] == [odd[0], odd[2], "Asia/Kolkata"]


def test_of_two_hosts_both_clients_take_the_primary(data_dir: Path, progress: Progress, tmp_path: Path) -> None:
    with standby_pair(data_dir / tmp_path.name, progress) as pair:
        server = urlsplit(pair.primary.dsn)
        ports = (pair.standby.port, pair.primary.port)
        who = f"user={server.username} password={server.password} dbname={server.path[1:]}"
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        addresses = [
            f"host=127.0.0.1,127.0.0.1 port={ports[0]},{ports[1]} {who} target_session_attrs=read-write",
            f"host=127.0.0.1,127.0.0.1 port={ports[0]},{ports[1]} {who}",
            f"postgresql://{server.username}:{server.password}@{hosts}{server.path}?target_session_attrs=primary",
            f"postgresql://{server.username}:{server.password}@{hosts}{server.path}?target_session_attrs=any",
        ]
        wanted = [ports[1]] * 3 + [ports[0]]
        taken = read_by_the_engine(tmp_path, addresses, DDPM_TEST_ADDRESSES_ASKED="yes")
        assert [int(engine["row"][3]) for engine in taken] == wanted
        for address, port in zip(addresses, wanted, strict=True):
            with connect(address) as connection:
                assert connection.execute("SELECT inet_server_port()").fetchone() == (port,)
