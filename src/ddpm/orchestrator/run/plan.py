"""What applying a configuration would make and change, and what that does to what runs.

A plan has a hash of everything that it says and was made from: applied by its hash, it is what was read, or refused.
"""

import difflib
import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import yaml

from ddpm.config.model import Config, Model, Pipeline, Server
from ddpm.config.parts import together
from ddpm.config.several import PROCESS_WIDE
from ddpm.engine.progress import Progress
from ddpm.errors import ConfigError
from ddpm.observability.masking import Masker
from ddpm.orchestrator.launching.linting import Linter
from ddpm.orchestrator.provisioning.planned import Step, provisioning_steps
from ddpm.orchestrator.run.checking import check_apart
from ddpm.orchestrator.run.comparing import Changes, Fingerprint, compare, fingerprints, named

# So many plans can be applied by their hash.
KEPT_PLANS = 32
_MOST_AT_ONCE = 8
_HASH_LENGTH = 12


@dataclass(frozen=True, slots=True)
class PipelinePlan:
    """What happens to one pipeline: `change` is `added`, `changed`, `removed` or `unchanged`."""

    name: str
    change: str
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What applying a configuration would do.

    Attributes:
        running: Names what runs; empty while nothing does.
        wanted: Names what would run.
        pipelines: All of them, by the configuration's order, and those that would go.
        obstacles: Why it cannot be applied to what runs.
        process: What changes of ddpm itself.
        before: The fingerprints of what runs.
        after: Those of what would run.

    """

    running: str
    wanted: str
    pipelines: tuple[PipelinePlan, ...]
    obstacles: tuple[Step, ...] = ()
    process: tuple[Step, ...] = ()
    before: tuple[tuple[str, Fingerprint], ...] = ()
    after: tuple[tuple[str, Fingerprint], ...] = ()

    @property
    def hash(self) -> str:
        """Names all that the plan says and was made from."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:_HASH_LENGTH]

    @property
    def changes(self) -> bool:
        """Whether it does anything."""
        return bool(self.obstacles or self.process or any(each.steps for each in self.pipelines))


@dataclass(frozen=True, slots=True)
class Running:
    """What runs: its configuration with real addresses, and the fingerprints of its pipelines."""

    config: Config
    prints: Mapping[str, Fingerprint]


def make_plan(config: Config, running: Running | None, linter: Linter, progress: Progress) -> Plan:
    """What a configuration with real addresses would do to what runs; makes and changes nothing.

    Raises:
        ConfigError: The engine does not accept one of its pipelines.

    """
    before = dict(running.prints) if running else {}
    after = fingerprints(config)
    changes = compare(before, after)
    fresh = [each for each in config.pipelines if each.name in changes.fresh]
    check_apart(config, fresh, linter, progress)
    masker = Masker((*config.secrets, *(running.config.secrets if running else ())))
    old = {each.name: each for each in running.config.pipelines} if running else {}
    with ThreadPoolExecutor(_MOST_AT_ONCE) as pool:
        made = dict(zip((each.name for each in fresh), pool.map(_provisioning, fresh), strict=True))

    def steps(pipeline: Pipeline) -> Iterator[Step]:
        name = pipeline.name
        if name in changes.changed:
            yield from differences(old[name], pipeline, before[name], after[name], masker)
        if name in changes.fresh:
            yield _ADDED if name in changes.added else _IN_PLACE if name in changes.in_place else _CHANGED
        yield from made.get(name, ())

    pipelines = [PipelinePlan(each.name, changes.of(each.name), tuple(steps(each))) for each in config.pipelines]
    pipelines += [PipelinePlan(name, "removed", (_GONE,)) for name in changes.removed]
    return Plan(
        named(before),
        named(after),
        tuple(_masked(each, masker) for each in pipelines),
        tuple(obstacles(config, running.config, changes)) if running else (),
        tuple(_of_process(config, running.config)) if running else (),
        tuple(sorted(before.items())),
        tuple(sorted(after.items())),
    )


def _provisioning(pipeline: Pipeline) -> tuple[Step, ...]:
    return (_UNSEEN,) if _embedded(pipeline) else provisioning_steps(pipeline)


def _embedded(pipeline: Pipeline) -> bool:
    """Whether it asks for an embedded server that does not run."""
    return pipeline.kafka.embedded or any(sink.embedded for sink in pipeline.configured)


_UNSEEN = Step(
    "process",
    "start the embedded servers that it asks for, which do not run",
    "none",
    "topics and tables on them cannot be looked at before",
)
_ADDED = Step("engine", "start its engines", "none")
_CHANGED = Step("engine", "drain its engines, and start them with the new configuration", "restart")
_IN_PLACE = Step("engine", "scale as it says by then; its engines run on", "in place")
_GONE = Step(
    "engine", "drain its engines, and end them", "stop", "its topics, table, offsets and dead letters stay as they are"
)


def obstacles(config: Config, running: Config, changes: Changes) -> Iterator[Step]:
    """What of a configuration cannot be applied to what runs, and needs a new start of ddpm."""
    again = "stop ddpm and start it again for that"
    for section in PROCESS_WIDE:
        if section != "logger" and _lasting(getattr(config, section)) != _lasting(getattr(running, section)):
            yield Step(
                "process", f"app.{section} has changed, which concerns the whole process", "needs a person", again
            )
    old = {each.name: each for each in running.pipelines}
    for each in config.pipelines:
        those = [one for one in (each, old.get(each.name)) if one is not None]
        if each.name not in changes.fresh:
            continue
        if _embedded(each):
            yield Step("process", f"the embedded server of {each.name} does not run", "needs a person", again)
        if any(one.engine.launcher != "process" for one in those):
            text = f"{each.name} has changed, and its engine is not a process of ddpm's (engine.launcher)"
            yield Step("process", text, "needs a person", again)
        if any(one.once for one in those):
            text = f"{each.name} has changed, and ends by itself (once)"
            yield Step("process", text, "needs a person", again)


def _of_process(config: Config, running: Config) -> Iterator[Step]:
    """What changes of ddpm itself while it runs on."""
    if config.logger != running.logger:
        yield Step("process", "log as app.logger says by then", "in place")
    if (config.server.token, config.server.tokens) != (running.server.token, running.server.tokens):
        yield Step("process", "let in by other tokens of the API (app.server)", "in place")


def _lasting(section: Model) -> Model:
    """A section without the tokens of the API, which may change while ddpm runs."""
    return section.model_copy(update={"token": None, "tokens": ()}) if isinstance(section, Server) else section


def differences(
    old: Pipeline, new: Pipeline, before: Fingerprint, after: Fingerprint, masker: Masker
) -> Iterator[Step]:
    """In what a pipeline differs from what runs."""
    lines = "\n".join(_difference(old, new, masker))
    if lines:
        yield Step("configuration", "its keys differ", "none", lines)
    elif before.secrets != after.secrets or before.keys != after.keys:
        yield Step("configuration", "a secret has another value", "none")
    elif before.engine != after.engine:
        yield Step("configuration", "its engines are configured otherwise (template, plugin)", "none")
    for path in after.changed_files(before):
        yield Step("configuration", f"the file {path} has changed", "none")


def _difference(old: Pipeline, new: Pipeline, masker: Masker) -> Iterator[str]:
    lines = difflib.unified_diff(_shown(old, masker), _shown(new, masker), n=1, lineterm="")
    return (line for line in lines if not line.startswith(("---", "+++")))


def keys_of(config: Config, name: str) -> dict[str, Any] | None:
    """The keys of a whole pipeline that are not as by default, without secrets; None when there is none such."""
    found = [each for each in config.pipelines if each.whole == name]
    if not found:
        return None
    return _keys(together(found), Masker(config.secrets))


def _keys(pipeline: Pipeline, masker: Masker) -> dict[str, Any]:
    keys: dict[str, Any] = _plain(pipeline.model_dump(exclude=set(PROCESS_WIDE), exclude_defaults=True), masker)
    # As one writes them: a word for what has a section of its own.
    sinks = [
        each.kind
        if each.kind in pipeline.sections
        else {each.kind: _plain(each.model_dump(exclude_defaults=True), masker)}
        for each in pipeline.sinks
    ]
    return keys | {"sinks": sinks}


def _shown(pipeline: Pipeline, masker: Masker) -> list[str]:
    """The keys of a pipeline that are not as by default, as YAML without secrets."""
    text = yaml.dump(_keys(pipeline, masker), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)
    return masker.text(text).splitlines()


def _plain(value: Any, masker: Masker) -> Any:  # noqa: ANN401 -- whatever a model holds
    """The same of plain types, masked before YAML has quotes and escapes of its own in a secret."""
    match value:
        case Enum():
            return value.value
        case dict():
            return {masker.text(str(key)): _plain(each, masker) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(each, masker) for each in value]
        case bool() | int() | float() | None:
            return value
        case _:
            # As text, a Secret is masked whatever the masker knows.
            return masker.text(str(value))


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as they are written by people."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def _masked(plan: PipelinePlan, masker: Masker) -> PipelinePlan:
    steps = tuple(replace(each, text=masker.text(each.text), detail=masker.text(each.detail)) for each in plan.steps)
    return replace(plan, steps=steps)


class StalePlanError(ConfigError):
    """What was planned is not what would be done by now."""


class Plans:
    """The plans that were made of late, by their hashes."""

    def __init__(self) -> None:
        self._made: OrderedDict[str, Plan] = OrderedDict()

    def keep(self, plan: Plan) -> Plan:
        """Remember a plan, and return it."""
        self._made[plan.hash] = plan
        self._made.move_to_end(plan.hash)
        while len(self._made) > KEPT_PLANS:
            self._made.popitem(last=False)
        return plan

    def require(self, wanted: str, now: Plan) -> None:
        """Raise StalePlanError unless `now` is the plan that was made under that hash."""
        if now.hash == wanted:
            return
        made = self._made.get(wanted)
        hint = "`ddpm plan` makes a new one"
        if made is None:
            raise StalePlanError(f"this ddpm has made no plan {wanted} since it started", hint=hint)
        raise StalePlanError(f"the plan {wanted} is stale: {'; '.join(moved(made, now))}", hint=hint)


def moved(made: Plan, now: Plan) -> list[str]:
    """What is not any more as it was when a plan was made."""
    edited, run = _moved(made.after, now.after), _moved(made.before, now.before)
    found = [*(f"{name} was edited since" for name in edited), *(f"{name} runs otherwise since" for name in run)]
    then, by_now = ({each.name: each.steps for each in plan.pipelines} for plan in (made, now))
    for name in (each for each in {**then, **by_now} if each not in (*edited, *run)):
        before, after = set(then.get(name, ())), set(by_now.get(name, ()))
        found += [f'{name} has no "{each.text}" any more' for each in then.get(name, ()) if each not in after]
        found += [f'{name} has "{each.text}" by now' for each in by_now.get(name, ()) if each not in before]
    if made.obstacles != now.obstacles:
        found.append("what stands in its way is something else")
    if made.process != now.process:
        found.append("what changes of ddpm itself is something else")
    return found


def _moved(then: Sequence[tuple[str, Fingerprint]], now: Sequence[tuple[str, Fingerprint]]) -> list[str]:
    """The names of pipelines whose fingerprints differ."""
    return list(dict.fromkeys(name for name, _ in sorted({*then} ^ {*now}, key=lambda each: each[0])))
