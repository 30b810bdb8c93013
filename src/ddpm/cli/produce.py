"""`ddpm produce`: records from a file or standard input into a topic, one a line."""

import codecs
import gzip
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, BinaryIO, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from ddpm.broker.produce import Record, produce
from ddpm.cli.configuration import ConfigOption, read_config
from ddpm.cli.recording import recorded
from ddpm.config.model import Cluster, Config
from ddpm.devstack.running import running_bootstrap
from ddpm.errors import ConfigError, MissingToolError
from ddpm.orchestrator.prepare import DATA_DIR
from ddpm.words import counted

_NO_BROKER = "start it with `ddpm run`, or name a broker with --brokers"


def produce_command(
    file: Annotated[
        Path | None,
        typer.Argument(help="One record a line; .gz is unpacked. Standard input without it.", show_default=False),
    ] = None,
    topic: Annotated[str | None, typer.Option(help="The topic; the configuration's first one otherwise.")] = None,
    key: Annotated[str | None, typer.Option(help="Take the key from this field of each JSON document.")] = None,
    brokers: Annotated[
        str | None, typer.Option(help="host:port, several with commas; the configuration's otherwise.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Produce records into a topic, one a line; empty lines are left out."""
    addresses: Sequence[str] = brokers.split(",") if brokers else ()
    loaded: Config | None = None
    if not addresses or topic is None or config is not None:
        loaded = read_config(config).config
        kafka = loaded.pipelines[0].kafka
        topic = topic or kafka.topics[0]
        known = (
            Cluster((running_bootstrap(DATA_DIR, _NO_BROKER),)) if kafka.embedded and not addresses else kafka.cluster
        )
        # Other brokers are spoken to as the configuration says only where it was named on purpose.
        addresses = Cluster(addresses, known.security if config is not None else None) if addresses else known
    with recorded(loaded, "produce", None, topic=topic, file=str(file or "standard input")):
        delivered = produce_file(addresses, topic, file, key=key)
    typer.echo(f"{counted(delivered, 'record')} produced into {topic}")


def produce_file(brokers: Sequence[str], topic: str, file: Path | None, *, key: str | None = None) -> int:
    """Produce the lines of a file (None: standard input), showing a bar; returns how many the broker acknowledged.

    Raises:
        MissingToolError: The file cannot be read.
        ConfigError: A key is asked for and a line has none; what stood before it was produced.
        ServiceError: The broker does not answer or refuses a record.

    """
    try:
        with file.open("rb") if file else nullcontext(sys.stdin.buffer) as stream, _bar() as bar:
            total = file.stat().st_size if file else None
            task = bar.add_task(f"producing into {topic}", total=total)

            def records() -> Iterator[Record]:
                with _unpacked(stream, file) as lines:
                    for record in _records(lines, key):
                        yield record
                        if file:
                            bar.update(task, completed=stream.tell())

            return produce(brokers, topic, records())
    except (OSError, EOFError) as error:
        msg = f"{file or 'standard input'} cannot be read: {error}"
        raise MissingToolError(msg) from error


def _unpacked(stream: BinaryIO, file: Path | None) -> AbstractContextManager[BinaryIO]:
    if file is None or file.suffix != ".gz":
        return nullcontext(stream)
    return cast("AbstractContextManager[BinaryIO]", gzip.open(stream))


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _records(lines: BinaryIO, key: str | None) -> Iterator[Record]:
    for number, line in enumerate(lines, start=1):
        value = (line.removeprefix(codecs.BOM_UTF8) if number == 1 else line).rstrip(b"\r\n")
        if value:
            yield Record(value=value, key=_key(value, key, number) if key else None)


def _key(value: bytes, field: str, number: int) -> bytes:
    try:
        found = json.loads(value)[field]
    except (ValueError, TypeError, KeyError, IndexError) as error:
        msg = f'line {number} has no field "{field}" to take the key from'
        raise ConfigError(msg, hint="omit --key to produce records without keys") from error
    return (found if isinstance(found, str) else json.dumps(found)).encode()
