"""What a person sees while pipelines start, run and stop: the work behind `ddpm run`.

A module of its own, because all that a run needs takes a second to import and no other command needs it.
"""

import os
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import structlog
from rich.console import Console
from rich.table import Table

from ddpm.broker.offsets import watermarks
from ddpm.cli.messages import progress
from ddpm.cli.produce import produce_file
from ddpm.config.address import masked_url
from ddpm.config.model import Config
from ddpm.errors import ConfigError
from ddpm.observability.recent import RecentLog
from ddpm.observability.systemd import Notifier
from ddpm.orchestrator.run.application import RunOptions, Started, run

INTEGRATION_TEST_SECONDS = 30.0


def run_session(config: Config, seed: Path | None, *, reload: Callable[[], Config], watch: bool) -> None:
    """Run a configuration's pipelines.

    Args:
        config: The configuration.
        seed: A file that is produced into the first topic when that is still empty.
        reload: Loads the configuration as it is by then.
        watch: Whether it is loaded again whenever its files have changed.

    """
    options = RunOptions(
        progress=progress(),
        recent=RecentLog(),
        stop_after=_stop_after(),
        provisioned=lambda resolved: _seed(resolved, seed) if seed else None,
        started=_show_where_to_look,
        notifier=Notifier.taken(os.environ),
        reload=reload,
        watch=watch,
    )
    run(config, options)


def _stop_after() -> float | None:
    if os.environ.get("INTEGRATION_TEST_MODE", "").lower() not in ("1", "true", "yes"):
        return None
    text = os.environ.get("INTEGRATION_TEST_TIMEOUT", "")
    try:
        seconds = float(text.removesuffix("s")) if text else INTEGRATION_TEST_SECONDS
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        msg = f'INTEGRATION_TEST_TIMEOUT is "{text}", which is not a number of seconds'
        raise ConfigError(msg, hint="write for example INTEGRATION_TEST_TIMEOUT=30")
    return seconds


def _seed(config: Config, file: Path) -> None:
    kafka = config.pipelines[0].kafka
    topic = kafka.topics[0]
    if any(mark.end > 0 for mark in watermarks(kafka.cluster, [topic]).values()):
        return
    delivered = produce_file(kafka.cluster, topic, file)
    structlog.get_logger().info("sample records produced", topic=topic, records=delivered, file=str(file))


def _show_where_to_look(started: Started) -> None:
    table = Table.grid(padding=(0, 2))
    for pipeline in started.config.pipelines:
        sinks = ", ".join(sink.described for sink in pipeline.sinks)
        table.add_row(pipeline.name, f"{', '.join(pipeline.kafka.topics)} -> {sinks}")
    table.add_row("console", f"{started.server_url}/")
    table.add_row("health", f"{started.server_url}/health")
    table.add_row("metrics", f"{started.server_url}/metrics")
    rows = started.config.pipelines[0].known_table
    if started.endpoints.psql_command and rows:
        table.add_row("rows", f"{started.endpoints.psql_command} -c 'table {rows.table} limit 5'")
    elif rows:
        table.add_row("database", masked_url(rows.url))
    produce = f"{_this_command()} produce --config {shlex.quote(str(started.config.path))}"
    table.add_row("produce", f"{produce} FILE   (one record a line; standard input without FILE)")
    table.add_row("stop", "Ctrl-C drains, a second Ctrl-C does not wait")
    console = Console(stderr=True)
    console.rule("ddpm runs")
    console.print(table, markup=False, highlight=False)
    console.rule()


def _this_command() -> str:
    """How a person calls ddpm from here: by its name when that finds this installation, else by its path."""
    mine = Path(sys.executable).with_name("ddpm")
    found = shutil.which("ddpm")
    if not mine.exists() or (found and Path(found).samefile(mine)):
        return "ddpm"
    return shlex.quote(os.path.relpath(mine))
