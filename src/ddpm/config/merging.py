"""Several texts as one: files side by side, stored pipelines beside them, overlays over them, single values. Pure.

Whatever is taken from a text keeps the place that it has there.
"""

from collections.abc import Callable
from dataclasses import replace

from ddpm.config.assigning import TOP, BadPathError, NothingToRemoveError, is_empty, put
from ddpm.config.known import did_you_mean
from ddpm.config.problems import Finding, Place, Severity
from ddpm.config.reading import Assignment, Read, path_of
from ddpm.config.several import by_name
from ddpm.config.tree import Entry, Mapping, Node, Sequence


def combined(read: Read) -> tuple[Mapping, tuple[Finding, ...]]:
    """The keys `app` and `pipelines` of all that a configuration consists of, and what is wrong with their company."""
    merging = _Merging(read.documents.named)
    first, *others = (_known(each.top) for each in read.files)
    top = first
    for other in others:
        top = merging.side_by_side(top, other)
    for name, root in read.stored.items():
        top = merging.with_stored(top, name, root.top)
    for overlay in read.overlays:
        top = merging.overlaid(top, _known(overlay.top))
    for assignment in read.sets:
        top = merging.assigned(top, assignment)
    return top, tuple(merging.findings)


def _known(top: Mapping) -> Mapping:
    return replace(top, entries={key: entry for key, entry in top.entries.items() if key in TOP})


class _Merging:
    def __init__(self, named: Callable[[Place], str]) -> None:
        self.findings: list[Finding] = []
        self._named = named

    def side_by_side(self, base: Mapping, other: Mapping) -> Mapping:
        """Two files of one folder: keys of `app` may be spread over them, and each has pipelines of its own."""
        entries = dict(base.entries)
        for key, entry in other.entries.items():
            mine = entries.get(key)
            if mine is None or is_empty(mine.node):
                entries[key] = entry
            elif key == "pipelines" and not is_empty(entry.node):
                entries[key] = Entry(mine.at, self._pipelines(by_name(mine.node), by_name(entry.node)))
            elif not is_empty(entry.node):
                entries[key] = self._disjoint(mine, entry)
        return replace(base, entries=entries)

    def with_stored(self, top: Mapping, name: str, pipeline: Mapping) -> Mapping:
        """A pipeline that was made through the API beside those of the files."""
        own = top.entries.get("pipelines")
        path = f"pipelines.{name}"
        if own is None:
            message = "this pipeline was made through the API, and the configuration has none beside which it could run"
            hint = "put the pipeline of app: under pipelines:, or remove this file"
            self.findings.append(Finding("no-pipeline", pipeline.at, path, message, hint))
            return top
        beside = Mapping("pipelines", pipeline.at, {name: Entry(pipeline.at, pipeline)})
        both = beside if is_empty(own.node) else self._pipelines(by_name(own.node), beside)
        return top.having("pipelines", both, own.at)

    def overlaid(self, base: Mapping, over: Mapping) -> Mapping:
        """Mappings are merged, everything else is replaced, and null removes a key."""
        entries = dict(base.entries)
        for key, entry in over.entries.items():
            mine = entries.get(key)
            if is_empty(entry.node):
                if entries.pop(key, None) is None:
                    self._nothing_to_remove(entry.node, did_you_mean(key, entries))
                continue
            below = by_name(mine.node) if mine is not None and isinstance(entry.node, Mapping) else None
            if mine is not None and isinstance(below, Mapping) and isinstance(entry.node, Mapping):
                entries[key] = Entry(mine.at, self.overlaid(below, entry.node))
            else:
                entries[key] = entry
        return replace(base, entries=entries)

    def assigned(self, top: Mapping, assignment: Assignment) -> Mapping:
        """One value set; a key that is not there is made, as far as its section may be."""
        at = assignment.document.place(0)
        try:
            return put(top, assignment.steps, assignment.node, at)
        except NothingToRemoveError as error:
            self._nothing_to_remove(assignment.node, error.hint)
        except BadPathError as error:
            path = path_of(assignment.steps)
            self.findings.append(Finding("unknown-field", at, path, error.message, error.hint))
        return top

    def _nothing_to_remove(self, null: Node, hint: str | None) -> None:
        message = "null removes this key, and it is not there"
        self.findings.append(Finding("nothing-to-remove", null.at, null.path, message, hint, Severity.WARNING))

    def _disjoint(self, mine: Entry, other: Entry) -> Entry:
        if not isinstance(mine.node, Mapping) or not isinstance(other.node, Mapping):
            message = f"this key is set in {self._named(mine.at)} already"
            hint = "keep one of them; what differs by environment goes into an overlay (--overlay)"
            self.findings.append(Finding("duplicate-key", other.at, other.node.path, message, hint))
            return mine
        entries = dict(mine.node.entries)
        for key, entry in other.node.entries.items():
            entries[key] = self._disjoint(entries[key], entry) if key in entries else entry
        return Entry(mine.at, replace(mine.node, entries=entries))

    def _pipelines(self, mine: Node, others: Node) -> Node:
        if isinstance(mine, Sequence) and isinstance(others, Sequence):
            return replace(mine, items=(*mine.items, *others.items))
        if not isinstance(mine, Mapping) or not isinstance(others, Mapping):
            where = self._named(mine.at)
            message = f"these pipelines cannot stand beside those of {where}"
            hint = "write the names as keys in each file, each with what differs from app"
            self.findings.append(Finding("wrong-type", others.at, "pipelines", message, hint))
            return mine
        entries = dict(mine.entries)
        for name, entry in others.entries.items():
            if name in entries:
                message = f'the name "{name}" is taken by the pipeline in {self._named(entries[name].at)}'
                hint = "name each pipeline differently"
                self.findings.append(Finding("duplicate-pipeline", entry.at, entry.node.path, message, hint))
            else:
                entries[name] = entry
        return replace(mine, entries=entries)
