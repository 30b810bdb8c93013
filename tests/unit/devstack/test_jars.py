"""Fetching Kafka's jars from a repository, which here is a folder behind a small HTTP server."""

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ddpm.devstack import jars
from ddpm.devstack.jars import MAVEN_VARIABLE, Jar, fetch, parse_lock
from ddpm.engine.cache import make_once
from ddpm.engine.progress import Silent
from ddpm.errors import MissingToolError

pytestmark = pytest.mark.slow

CONTENT = {"kafka_2.13": b"broker" * 1000, "zstd-jni": b"codec" * 1000}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    root = tmp_path / "repository"
    for artifact, content in CONTENT.items():
        folder = root / "org" / "example" / artifact / "1.0"
        folder.mkdir(parents=True)
        (folder / f"{artifact}-1.0.jar").write_bytes(content)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root))) as server:
        threading.Thread(target=server.serve_forever).start()
        monkeypatch.setenv(MAVEN_VARIABLE, f"http://127.0.0.1:{server.server_port}/")
        yield root
        server.shutdown()


def locked(artifact: str) -> Jar:
    content = CONTENT[artifact]
    return Jar("org.example", artifact, "1.0", hashlib.sha256(content).hexdigest(), len(content))


def test_shipped_lock_names_kafka_and_its_codecs() -> None:
    shipped = {jar.artifact: jar for jar in parse_lock(Path(jars.__file__).with_name("kafka.lock").read_text())}
    assert shipped["kafka_2.13"].version == "4.4.0"
    assert {"snappy-java", "lz4-java", "zstd-jni"} <= shipped.keys()


@pytest.mark.parametrize(
    "line",
    [
        "org.example:a:1.0 sha256:abc 10",
        f"org.example:a sha256:{'0' * 64} 10",
        f"org.example:a:1.0 md5:{'0' * 64} 10",
        f"org.example:a:1.0 sha256:{'0' * 64}",
    ],
)
def test_line_that_is_no_lock_is_shown(line: str) -> None:
    with pytest.raises(ValueError, match=r"not a line of a lock of jars: 'org\.example"):
        parse_lock(f"# a comment\n\n{line}\n")


@pytest.mark.usefixtures("repository")
def test_jars_are_fetched_and_nothing_else_is_left(tmp_path: Path) -> None:
    target = tmp_path / "jars"
    target.mkdir()
    fetch((locked("kafka_2.13"), locked("zstd-jni")), target, Silent())
    assert {file.name: file.read_bytes() for file in target.iterdir()} == {
        "kafka_2.13-1.0.jar": CONTENT["kafka_2.13"],
        "zstd-jni-1.0.jar": CONTENT["zstd-jni"],
    }


def test_other_content_than_locked_is_refused_by_name_and_not_kept(repository: Path, tmp_path: Path) -> None:
    (repository / "org/example/zstd-jni/1.0/zstd-jni-1.0.jar").write_bytes(b"something else")
    both = (locked("kafka_2.13"), locked("zstd-jni"))
    with pytest.raises(MissingToolError, match=r"org\.example:zstd-jni:1\.0.*is not the file that was locked"):
        make_once(tmp_path / "cache" / "kafka", lambda part: fetch(both, part, Silent()))
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]


def test_jar_that_the_repository_does_not_have_is_named(repository: Path, tmp_path: Path) -> None:
    (repository / "org/example/zstd-jni/1.0/zstd-jni-1.0.jar").unlink()
    with pytest.raises(MissingToolError, match=r"org\.example:zstd-jni:1\.0.*could not be fetched") as error:
        fetch((locked("zstd-jni"),), tmp_path, Silent())
    assert MAVEN_VARIABLE in (error.value.hint or "")


def test_network_that_is_away_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MAVEN_VARIABLE, "http://127.0.0.1:1")
    with pytest.raises(MissingToolError, match=r"org\.example:kafka_2\.13:1\.0.*could not be fetched"):
        fetch((locked("kafka_2.13"),), tmp_path, Silent())


@pytest.mark.usefixtures("repository")
def test_folder_that_lost_a_jar_is_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "kafka.lock"
    lock.write_text("".join(f"{jar} sha256:{jar.sha256} {jar.size}\n" for jar in map(locked, CONTENT)))
    monkeypatch.setattr(jars, "_LOCK_FILE", lock)
    monkeypatch.setenv("DDPM_CACHE_DIR", str(tmp_path / "cache"))
    folder = jars.kafka_jars(Silent())
    (folder / "zstd-jni-1.0.jar").write_bytes(b"cut sho")
    (folder / "kafka_2.13-1.0.jar").unlink()
    assert jars.kafka_jars(Silent()) == folder
    assert (folder / "zstd-jni-1.0.jar").read_bytes() == CONTENT["zstd-jni"]
    assert (folder / "kafka_2.13-1.0.jar").read_bytes() == CONTENT["kafka_2.13"]
