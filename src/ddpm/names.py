"""The names that pipelines run under: `orders`, or `orders.kafka` where each of its sinks is run by itself. Pure.

No name that a user gives has a dot.
"""

_SEPARATOR = "."


def part_name(pipeline: str, sink: str) -> str:
    """The name that a sink of a pipeline runs under."""
    return f"{pipeline}{_SEPARATOR}{sink}"


def whole_of(name: str) -> str:
    """The pipeline that a name belongs to, as its user called it."""
    return name.partition(_SEPARATOR)[0]


def sink_of(name: str) -> str | None:
    """The sink that a name is about; None for a whole pipeline."""
    return name.partition(_SEPARATOR)[2] or None


def means(wanted: str, name: str) -> bool:
    """Whether what a person asks for means the pipeline of that name: itself, or the whole that it is a part of."""
    return wanted in (name, whole_of(name))
