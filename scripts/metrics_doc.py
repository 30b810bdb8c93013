"""Prints docs/metrics.md, written from the table of families that ddpm exposes."""

import sys
from collections.abc import Iterable, Iterator

from ddpm.server.families import DROPPED, ENGINE, OWN

INTRODUCTION = """\
# Metrics

<!-- Generated from src/ddpm/server/families.py by `make docs`: changes made here are lost. -->

`GET /metrics` (by default on port 4195) is one page for all pipelines and engines, in Prometheus' text format.
Names and labels on this page are stable: a change is announced in the changelog.

```yaml
scrape_configs:
  - job_name: ddpm
    static_configs: [{targets: ["localhost:4195"]}]
```

What engines say of themselves is read from each of them every two seconds; a scrape asks none, and shows the page that
each gave last. An engine that has not answered for three seconds is left out.

A bounded run (`once: true`) pushes what stands under Pipelines to the PushGateway of `app.metrics.push_gateway` at its
end.

Some questions and their queries:

| question | query |
|---|---|
| does every pipeline run? | `min by (pipeline) (ddpm_pipeline_up)` |
| was a configuration edited and not applied for an hour? | `min_over_time(ddpm_config_changed[1h]) == 1` |
| what is away? | `ddpm_probe_up == 0` |
| records per second into the sinks | `rate(ddpm_records_written_total[1m])` |
| which pipeline is more than a minute behind? | `ddpm_lag_seconds > 60` |
| the partition that is furthest behind | `topk(1, ddpm_partition_lag_records)` |
| the part of all records that is poison | `rate(ddpm_dead_letters_total[5m]) / rate(ddpm_records_read_total[5m])` |
| dead letters that wait for more than a day | `time() - ddpm_dead_letters_oldest_open_timestamp_seconds > 86400` |
| a crash loop | `increase(ddpm_pipeline_restarts_total[10m]) > 3` |
| from read to written, 99 % | `histogram_quantile(0.99, rate(ddpm_engine_input_latency_seconds_bucket[5m]))` |
| why rows wait | `ddpm_engine_postgres_waiting_batches > 0 or ddpm_engine_kafka_waiting_batches > 0` |
"""

OF_PIPELINES = """
## Pipelines

From ddpm itself. Counters start at 0 with ddpm and survive restarts of engines. Every family has the label
`pipeline`, and those in the column labels.

"""

OF_ENGINES = """
## Engines

From each engine's own page, under names, units and labels of ours. Every family has the labels `pipeline` and
`replica`; `path` is the component's place in the rendered configuration. Counters start at 0 with the engine.

"""

OF_DDPM = """
## ddpm itself

`ddpm_build_info` is always 1 and carries the label `version`. `ddpm_audit_log_fails` is 1 while the audit log cannot
be written. `ddpm_config_changed` is 1 while files of the configuration say something else
than what runs: somebody edited them, and nobody has applied that. The usual
`process_*` (CPU, memory, open files, start time) are of ddpm's own process.

## Left out of the engines' pages

"""


def document() -> str:
    """The whole document."""
    own = ([_code(each.name), each.type, _codes(each.labels), each.help] for each in OWN)
    engine = (
        [
            _code(each.name),
            each.type,
            _codes(ours for ours, _ in each.labels),
            each.help,
            _code(each.source) + (" (to seconds)" if each.type in ("histogram", "summary") else ""),
        ]
        for each in ENGINE
    )
    return "".join(
        (
            INTRODUCTION,
            OF_PIPELINES,
            *_table(["name", "type", "labels", "meaning"], own),
            OF_ENGINES,
            *_table(["name", "type", "labels", "meaning", "the engine's name"], engine),
            OF_DDPM,
            *_table(["what", "why"], ([what, why] for what, why in DROPPED)),
        )
    )


def _table(head: list[str], rows: Iterable[list[str]]) -> Iterator[str]:
    for row in (head, ["---"] * len(head), *rows):
        yield "| " + " | ".join(row) + " |\n"


def _code(text: str) -> str:
    return f"`{text}`"


def _codes(texts: Iterable[str]) -> str:
    return ", ".join(_code(text) for text in texts)


if __name__ == "__main__":
    sys.stdout.write(document())
