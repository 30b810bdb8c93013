"""Two pipelines with one topic and one table: a row of one would count as a redelivery of the other's. Pure.

A row's identity is where its record came from, and both read it from there. What only the servers know (two addresses
of one server, a schema that the role's search path names) is looked at again when the pipelines are provisioned.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from ddpm.config.address import EMBEDDED, parse_address
from ddpm.config.model import Pipeline
from ddpm.config.names import split_table
from ddpm.config.problems import Finding, Place
from ddpm.config.several import Draft
from ddpm.config.tree import Scalar, find

SHARED = "a row's identity is where its record came from, so rows of one would be taken for redeliveries of the other"
WAY_OUT = "give one of them another table (a view can join both), or read the topic in one pipeline"

_LOOPBACK = frozenset({"", "localhost", "127.0.0.1", "::1"})
_SEARCH_PATH = re.compile(r"-c\s*search_path=([^\s,]+)")


@dataclass(frozen=True, slots=True)
class _Table:
    hosts: frozenset[str]
    database: str
    schema: str
    name: str

    def same(self, other: "_Table") -> bool:
        mine, others = (self.database, self.schema, self.name), (other.database, other.schema, other.name)
        return mine == others and bool(self.hosts & other.hosts)


def shared_tables(made: Sequence[tuple[Draft, Pipeline]]) -> Iterator[Finding]:
    """What is wrong with pipelines that write the records of one topic into one table."""
    for (_, first), (draft, second) in combinations(made, 2):
        topics = [topic for topic in second.kafka.topics if topic in first.kafka.topics]
        ours, theirs = _table(second), _table(first)
        if not topics or ours is None or theirs is None or first.name == second.name:
            continue
        if ours.same(theirs) and _hosts(first.kafka.brokers) & _hosts(second.kafka.brokers):
            section = second.table.kind if second.table else ""
            own = find(draft.own, (section, "table"), draft.at)
            node = own.node if not own.rest and isinstance(own.node, Scalar) else None
            path = node.path if node else f"{draft.own.path}.{section}.table"
            what = f'the table "{ours.name}" gets the topic {topics[0]} from the pipeline "{first.name}" too'
            at: Place = node.at if node else draft.at
            yield Finding("shared-table", at, path, f"{what}; {SHARED}", WAY_OUT)


def _table(pipeline: Pipeline) -> _Table | None:
    table = pipeline.table
    if table is None:
        return None
    schema, name = split_table(table.table)
    if table.url == EMBEDDED:
        return _Table(frozenset({EMBEDDED}), "", schema or "public", name)
    address = parse_address(table.url)
    found = _SEARCH_PATH.search(address.options.get("options", ""))
    default = found.group(1) if found else "public"
    hosts = _hosts(f"{server.host}:{server.port}" for server in address.servers)
    return _Table(hosts, address.database or address.user or "", schema or default, name)


def _hosts(addresses: Iterable[str]) -> frozenset[str]:
    """Addresses in one spelling."""
    found = set()
    for address in addresses:
        host, _, port = address.rpartition(":")
        host = host.strip("[]").lower().rstrip(".")
        found.add(f"{'localhost' if host in _LOOPBACK else host}:{port}")
    return frozenset(found)
