"""Examples for the help of every command, and what `ddpm` without arguments says. Prints nothing."""

import typer

WELCOME = """\
ddpm runs streaming pipelines from one YAML file: Kafka -> parse -> transform -> Postgres and other sinks.

Three things to do first:
  ddpm init shop               write a configuration and sample records into the folder shop
  cd shop && ddpm run --seed orders.ndjson
                               run it, on a Kafka and a Postgres that ddpm brings along
  ddpm rows                    see the newest rows, from another terminal in that folder

ddpm --help lists all commands, ddpm COMMAND -h explains one with examples.
"""

# By the words of the command; each line is what a person would type.
EXAMPLES: dict[str, tuple[str, ...]] = {
    "init": ("ddpm init shop",),
    "run": (
        "ddpm run",
        "ddpm run --config shop.yaml --seed orders.ndjson",
        "ddpm run --config conf --overlay prod.yaml --watch",
    ),
    "provision": ("ddpm provision --config shop.yaml",),
    "reset": ("ddpm reset", "ddpm reset --yes"),
    "schema": ("ddpm schema > app-config.schema.json",),
    "produce": ("ddpm produce orders.ndjson --key id", "zcat old.gz | ddpm produce --topic orders"),
    "parse": (
        "echo '{\"id\": 1}' | ddpm parse",
        "ddpm parse orders.ndjson --each-line",
        "ddpm parse --parser csv data.csv",
    ),
    "test": ("ddpm test", "ddpm test orders.cases.yaml"),
    "replay": ("ddpm replay --from 2h --dry-run", "ddpm replay --from 2026-11-23T08:00:00Z --to 1h"),
    "trace": ("ddpm trace orders:0:17",),
    "peek": ("ddpm peek orders -n 5", "ddpm peek orders:0:17", "ddpm peek orders:0:17 --raw"),
    "top": ("ddpm top", "ddpm top --sort memory"),
    "tap": ("ddpm tap orders", "ddpm tap orders --at sink --filter this.returned", "ddpm tap --at dead-letters"),
    "rows": ("ddpm rows", "ddpm rows 50", "ddpm rows orders 50 --json"),
    "status": ("ddpm status", "ddpm status orders --watch"),
    "logs": ("ddpm logs -n 20", "ddpm logs orders --follow"),
    "events": ("ddpm events", "ddpm events orders --follow"),
    "audit": ("ddpm audit", "ddpm audit --since 2h", "ddpm audit -n 5 --json"),
    "pause": ("ddpm pause", "ddpm pause orders --no-wait"),
    "resume": ("ddpm resume", "ddpm resume orders"),
    "reload": ("ddpm reload", "ddpm reload --timeout 5m"),
    "plan": ("ddpm plan", "ddpm plan --json"),
    "apply": ("ddpm apply", "ddpm apply --plan 0c2a9ff41d02"),
    "restart": ("ddpm restart", "ddpm restart orders --timeout 5m"),
    "drain": ("ddpm drain", "ddpm drain orders"),
    "scale": ("ddpm scale 3", "ddpm scale orders auto"),
    "validate": (
        "ddpm validate",
        "ddpm validate --config conf --overlay prod.yaml --set app.logger.level=DEBUG",
        "ddpm validate --json",
    ),
    "explain": ("ddpm explain shared-table", "ddpm explain"),
    "doctor": ("ddpm doctor", "ddpm doctor --json"),
    "render": ("ddpm render", "ddpm render --pipeline orders"),
    "version": ("ddpm version",),
    "offsets get": ("ddpm offsets get", "ddpm offsets get orders --json"),
    "offsets reset": ("ddpm offsets reset --to-earliest --dry-run",),
    "dlq list": ("ddpm dlq list", "ddpm dlq list --letters --from 2h"),
    "dlq show": ("ddpm dlq show 0:17",),
    "dlq discard": ("ddpm dlq discard --reason processor_failed --dry-run",),
    "dlq replay": ("ddpm dlq replay --dry-run", "ddpm dlq replay orders --from 2h"),
    "engine install": ("ddpm engine install",),
    "engine version": ("ddpm engine version",),
    "plugins list": ("ddpm plugins list",),
    "plugins describe": ("ddpm plugins describe csv",),
    "plugins new": ("ddpm plugins new mine --kind python",),
}


def add_examples(app: typer.Typer, above: str = "") -> None:
    """Put its examples below the help of every command; each of them must have some."""
    for command in app.registered_commands:
        words = f"{above}{command.name or getattr(command.callback, '__name__', '')}"
        # An empty line keeps the lines apart where help is wrapped.
        command.epilog = "\n\n".join(("For example:", *(f"$ {line}" for line in EXAMPLES[words])))
    for group in app.registered_groups:
        if group.typer_instance is not None:
            add_examples(group.typer_instance, f"{above}{group.name} ")
