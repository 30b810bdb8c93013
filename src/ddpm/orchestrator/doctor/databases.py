"""Checks of Postgres: whether it lets ddpm in, its room and clock, the tables, and who holds them."""

from collections.abc import Iterator, Sequence

from ddpm.config.model import Pipeline, RowTable
from ddpm.orchestrator.doctor.findings import Check, Finding
from ddpm.orchestrator.provisioning.provision import table_spec
from ddpm.store.checkup import database_facts, holders
from ddpm.store.connection import reachable, where
from ddpm.store.tables import planned_table

# Engines, ddpm's watch and somebody who wants to look.
_CONNECTIONS_NEEDED, _CONNECTIONS_GOOD = 3, 10
_SKEW_SECONDS, _SKEW_BAD_SECONDS = 2.0, 60.0
_HELD_SECONDS = 5.0
_OLDEST = 12


def database_checks(pipelines: Sequence[Pipeline]) -> list[Check]:
    """One for each database, and behind it those of the pipelines that write there."""
    writing = [(each, each.table) for each in pipelines if each.table is not None and not _embedded(each)]
    return [
        _of_database(url, [(one, rows) for one, rows in writing if rows.url == url])
        for url in dict.fromkeys(rows.url for _, rows in writing)
    ]


def _embedded(pipeline: Pipeline) -> bool:
    return any(sink.embedded for sink in pipeline.configured)


def _of_database(url: str, writing: Sequence[tuple[Pipeline, RowTable]]) -> Check:
    about = where(url)
    tables = tuple(_of_table(pipeline, rows) for pipeline, rows in writing)
    return Check(
        "database.reached", about, lambda: _reached(url), (Check("database.facts", about, lambda: _facts(url)), *tables)
    )


def _of_table(pipeline: Pipeline, rows: RowTable) -> Check:
    locks = Check("table.locks", pipeline.name, lambda: _locks(pipeline, rows))
    return Check("table.fits", pipeline.name, lambda: _table(pipeline, rows), (locks,))


def _reached(url: str) -> Iterator[Finding]:
    reachable(url)
    yield Finding("database.reached", where(url), "pass", "the database answers, and lets ddpm in")


def _facts(url: str) -> Iterator[Finding]:
    about, facts = where(url), database_facts(url)
    text = f"Postgres {facts.version}, {facts.megabytes:,} MB"
    old = facts.number < _OLDEST * 10_000
    hint = f"ddpm is tested with {_OLDEST} and later" if old else ""
    yield Finding("database.version", about, "warn" if old else "pass", text, hint)
    yield connections_finding(about, facts.connections_left, facts.connections)
    yield clock_finding(about, facts.ahead, facts.uncertain)


def connections_finding(about: str, left: int, most: int) -> Finding:
    """What it means that so many connections of all are left."""
    text = f"{left} of {most} connections are left"
    hint = "end sessions, raise max_connections, or put PgBouncer in front"
    if left < _CONNECTIONS_NEEDED:
        return Finding("database.connections", about, "fail", text, hint)
    if left < _CONNECTIONS_GOOD:
        return Finding("database.connections", about, "warn", text, hint)
    return Finding("database.connections", about, "pass", text)


def clock_finding(about: str, ahead: float, uncertain: float) -> Finding:
    """What it means that a clock is so many seconds ahead of this machine's; `uncertain` is how wrong that may be."""
    if abs(ahead) - uncertain <= _SKEW_SECONDS:
        return Finding("clock", about, "pass", "its clock and this machine's agree")
    text = f"its clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
    hint = "let both keep time (NTP): times of rows, certificates and tokens depend on it"
    return Finding("clock", about, "fail" if abs(ahead) > _SKEW_BAD_SECONDS else "warn", text, hint)


def _table(pipeline: Pipeline, rows: RowTable) -> Iterator[Finding]:
    planned = planned_table(rows.url, table_spec(pipeline, rows))
    text = f"the table {rows.table} fits"
    if planned.create:
        text = f"there is no table {rows.table}; `ddpm run` makes it"
    elif planned.evolution:
        listed = "; ".join(each.words for each in planned.evolution.changes)
        text = f"`ddpm run` makes the table {rows.table} fit: {listed}"
    yield Finding("table.fits", pipeline.name, "pass", text)


def _locks(pipeline: Pipeline, rows: RowTable) -> Iterator[Finding]:
    spec = table_spec(pipeline, rows)
    every = holders(rows.url, spec.schema, spec.name)
    found = [each for each in every if each.seconds is None or each.seconds >= _HELD_SECONDS]
    for each in found:
        text = f"no row can be written into {rows.table}: {each.described}"
        hint = f"end that transaction, or SELECT pg_terminate_backend({each.pid});"
        # It may have begun just now.
        yield Finding("table.locks", pipeline.name, "warn" if each.seconds is None else "fail", text, hint)
    if not found:
        yield Finding("table.locks", pipeline.name, "pass", f"nobody holds the table {rows.table}")
