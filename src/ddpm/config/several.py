"""`pipelines:`, several pipelines in one file: each has the keys of `app` as its defaults and a group of its own."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import PurePath

from ddpm.config.codes import Code
from ddpm.config.explain import Missing, missing_finding
from ddpm.config.known import Known
from ddpm.config.problems import Finding, Place
from ddpm.config.tree import Entry, Mapping, Node, Scalar, Sequence, find, merged

PROCESS_WIDE = ("server", "logger", "metrics")

_GROUP = ("kafka", "consumer_group")
_GENERATED = ("generated_pipeline_config",)
_OWN_GROUP = "each would get only a part of the records; give each a group of its own, or omit the key"
_OWN_FILE = "one would overwrite the other; name each file differently, or omit the key"


@dataclass(frozen=True, slots=True)
class Draft:
    """One pipeline before it is validated: its complete keys, those of its own entry, and where they open."""

    root: Mapping
    own: Mapping
    at: Place
    name: str


@dataclass(frozen=True, slots=True)
class Drafts:
    """All pipelines of a file; `findings` says what is wrong with the list of them."""

    drafts: tuple[Draft, ...]
    findings: tuple[Finding, ...] = ()


def drafts(app: Mapping, app_at: Place, pipelines: Entry | None) -> Drafts:
    """The pipelines of a file: `app` itself, or one for each entry of `pipelines`."""
    if pipelines is None:
        return Drafts((Draft(app, app, app_at, ""),))
    gathered = _Gathered()
    made = [_draft(app, name, own, at) for name, own, at in gathered.entries(pipelines)]
    if not made and not gathered.findings:
        hint = "name each pipeline, or remove the key to run app alone"
        gathered.find("no-pipeline", pipelines.at, "pipelines", "no pipeline is named", hint)
    groups = _taken_twice(made, _GROUP, "shared-consumer-group", "the consumer group", _OWN_GROUP)
    files = _taken_twice(made, _GENERATED, "shared-generated-config", "the file", _OWN_FILE)
    return Drafts(tuple(made), (*gathered.findings, *groups, *files))


def by_name(node: Node) -> Node:
    """A list of pipelines as a mapping of their names, where each has one of its own; any other node as it is."""
    if not isinstance(node, Sequence) or node.path != "pipelines":
        return node
    names = [each.get("name") if isinstance(each, Mapping) else None for each in node.items]
    texts = [str(each.value) for each in names if isinstance(each, Scalar)]
    if len(texts) < len(names) or len(set(texts)) < len(texts):
        return node
    return Mapping(
        node.path, node.at, {name: Entry(each.at, each) for name, each in zip(texts, node.items, strict=True)}
    )


def missing_findings(
    lacking: Iterable[tuple[Draft, tuple[Missing, ...]]], app: Mapping, app_at: Place, known: Known
) -> Iterator[Finding]:
    """What all pipelines lack is missing in `app`, once; what only some lack is missing in their own entries."""
    everyone = list(lacking)
    for draft, missing in everyone:
        for each in missing:
            shared = all(each in others for _, others in everyone)
            yield missing_finding(each, app if shared else draft.own, app_at if shared else draft.at, known)


class _Gathered:
    """Reads the two forms of `pipelines:`: a mapping of names, and a list of mappings with `name`."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def find(self, code: Code, at: Place, path: str, message: str, hint: str | None = None) -> None:
        self.findings.append(Finding(code, at, path, message, hint))

    def entries(self, pipelines: Entry) -> Iterator[tuple[Scalar, Mapping, Place]]:
        node = pipelines.node
        if isinstance(node, Mapping):
            for name, entry in node.entries.items():
                path = f"pipelines.{name}"
                own = self._own(entry.node, entry.at, path, empty_is_fine=True)
                if own is not None:
                    self._name_is_the_key(own, name)
                    yield Scalar(path, entry.at, (0, 0), name, name, plain=False), own.without("name"), entry.at
        elif isinstance(node, Sequence):
            yield from self._listed(node)
        elif not (isinstance(node, Scalar) and node.value is None):
            hint = "write the names as keys, each with what differs from app"
            self.find("wrong-type", node.at, "pipelines", "expected names with their keys, or a list", hint)

    def _listed(self, node: Sequence) -> Iterator[tuple[Scalar, Mapping, Place]]:
        seen: dict[object, Place] = {}
        for item in node.items:
            own = self._own(item, item.at, item.path, empty_is_fine=False)
            name = own.get("name") if own else None
            if own is None:
                continue
            if not isinstance(name, Scalar):
                hint = "write for example name: orders"
                self.find("missing-field", item.at, f"{item.path}.name", "missing field", hint)
                continue
            if name.value in seen and not name.broken:
                message = f'the name "{name.text}" is taken by the pipeline in line {seen[name.value].line}'
                self.find("duplicate-pipeline", name.at, name.path, message, "name each pipeline differently")
            seen.setdefault(name.value, name.at)
            yield name, own, item.at

    def _own(self, node: Node, at: Place, path: str, *, empty_is_fine: bool) -> Mapping | None:
        if empty_is_fine and isinstance(node, Scalar) and node.value is None:
            return Mapping(path, at)
        if not isinstance(node, Mapping):
            self.find("wrong-type", node.at, path, "expected the keys in which this pipeline differs from app")
            return None
        for section in PROCESS_WIDE:
            if section in node.entries:
                message = f"{section} concerns the whole process, not one pipeline"
                place = node.entries[section].at
                self.find("process-wide", place, f"{path}.{section}", message, f"put it under app: app.{section}")
        return node.without(*PROCESS_WIDE)

    def _name_is_the_key(self, own: Mapping, key: str) -> None:
        name = own.get("name")
        if name is not None and not (isinstance(name, Scalar) and name.value == key):
            self.find("invalid-value", name.at, name.path, f'the key "{key}" names this pipeline already', "remove it")


def _draft(app: Mapping, name: Scalar, own: Mapping, at: Place) -> Draft:
    root = merged(app, own)
    root = root.having("name", name, name.at)
    group = _text_at(app, _GROUP)
    kafka = root.get("kafka")
    if group and isinstance(kafka, Mapping) and find(own, _GROUP, at).rest:
        key_at = kafka.entries["consumer_group"].at
        kafka = kafka.having("consumer_group", _suffixed(group, f"-{name.value}"), key_at)
        root = root.having("kafka", kafka, root.entries["kafka"].at)
    generated = _text_at(app, _GENERATED)
    if generated and _GENERATED[0] not in own.entries:
        key_at = root.entries[_GENERATED[0]].at
        root = root.having(_GENERATED[0], _suffixed(generated, f"-{name.value}", before_extension=True), key_at)
    return Draft(root, own, at, str(name.value))


def _text_at(root: Mapping, steps: tuple[str, ...]) -> Scalar | None:
    found = find(root, steps, root.at)
    node = found.node
    return node if not found.rest and isinstance(node, Scalar) and isinstance(node.value, str) else None


def _suffixed(scalar: Scalar, suffix: str, *, before_extension: bool = False) -> Scalar:
    def changed(text: str) -> str:
        extension = PurePath(text).suffix if before_extension else ""
        return f"{text.removesuffix(extension)}{suffix}{extension}"

    return replace(scalar, value=changed(str(scalar.value)), text=changed(scalar.text))


def _taken_twice(made: list[Draft], steps: tuple[str, ...], code: Code, what: str, hint: str) -> Iterator[Finding]:
    owners: dict[str, Draft] = {}
    for draft in made:
        scalar = _text_at(draft.root, steps)
        if scalar is None or scalar.broken:
            continue
        owner = owners.setdefault(str(scalar.value), draft)
        if owner.name == draft.name:
            continue  # the same pipeline, or two of one name, which is reported elsewhere
        own = _text_at(draft.own, steps)
        path = own.path if own else f"{draft.own.path}.{'.'.join(steps)}"
        message = f'{what} "{scalar.text}" is also that of the pipeline "{owner.name}"'
        yield Finding(code, own.at if own else draft.at, path, message, hint)
