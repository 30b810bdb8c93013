"""Sinks whose fields may stand in a section of `app`: one form in place of two, before anything is read. Pure."""

from collections.abc import Collection
from dataclasses import replace

from ddpm.config.tree import Entry, Mapping, Node, Scalar, Sequence, merged


def normalised(top: Mapping, sections: Collection[str]) -> Mapping:
    """A whole file, in which the fields of `- postgres: {…}` under `sinks` stand in the section `postgres`.

    What both say, the sink's own fields say last. Values keep the places that they have in the file.
    """
    entries = dict(top.entries)
    if "app" in entries:
        entries["app"] = replace(entries["app"], node=_pipeline(entries["app"].node, sections))
    if "pipelines" in entries:
        entries["pipelines"] = replace(entries["pipelines"], node=_pipelines(entries["pipelines"].node, sections))
    return replace(top, entries=entries)


def _pipelines(node: Node, sections: Collection[str]) -> Node:
    match node:
        case Mapping():
            return replace(
                node,
                entries={name: Entry(each.at, _pipeline(each.node, sections)) for name, each in node.entries.items()},
            )
        case Sequence():
            return replace(node, items=tuple(_pipeline(item, sections) for item in node.items))
        case _:
            return node


def _pipeline(node: Node, sections: Collection[str]) -> Node:
    sinks = node.get("sinks") if isinstance(node, Mapping) else None
    if not isinstance(node, Mapping) or not isinstance(sinks, Sequence):
        return node
    items: list[Node] = []
    for item in sinks.items:
        named = next(iter(item.entries), "") if isinstance(item, Mapping) and len(item.entries) == 1 else ""
        entry = item.entries[named] if isinstance(item, Mapping) and named in sections else None
        if entry is None or not isinstance(entry.node, Mapping):
            items.append(item)
            continue
        below = node.get(named)
        whole = merged(below, entry.node) if isinstance(below, Mapping) else entry.node
        node = node.having(named, whole, entry.at)
        items.append(Scalar(item.path, item.at, (0, 0), named, named, plain=True))
    return node.having("sinks", replace(sinks, items=tuple(items)), node.entries["sinks"].at)
