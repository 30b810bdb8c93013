"""How the engines of a pipeline are started: what they are given, and where their log goes."""

import hashlib
import json
import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog

from ddpm.components.sources.kafka import launched_id
from ddpm.config.model import Config, Pipeline
from ddpm.config.parts import commit_note
from ddpm.contract import Env
from ddpm.engine.launching import Engine, EngineSpec, Launcher
from ddpm.observability.logging import EngineLog, Masker
from ddpm.observability.profiling import engine_environment
from ddpm.orchestrator.launching.departures import Departures
from ddpm.orchestrator.launching.handed import handed_to_outputs, handed_to_parser, handed_to_steps
from ddpm.orchestrator.launching.linting import Linter
from ddpm.orchestrator.launching.mistakes import reads_files, refuse_mistakes
from ddpm.orchestrator.prepare import DATA_DIR, generated_path, rendered
from ddpm.orchestrator.provisioning.progress import progress_file
from ddpm.orchestrator.provisioning.provision import Provisioned
from ddpm.privacy import privacy_of
from ddpm.supervisor.runner import Launchable

PROFILES = DATA_DIR / "profiles"

_HASH_LENGTH = 12
_LAUNCH_BYTES = 4
# The system takes 128 KiB in one variable.
_MOST_OF_MARKS = 100_000
_STARTED = {
    "process": "engine started",
    "container": "engine is started in a container",
    "external": "an engine that others run is watched",
}


def launchable(
    config: Config, pipeline: Pipeline, binary: Path, launcher: Launcher, provisioned: Provisioned, *, linter: Linter
) -> Launchable:
    """How the engines of a pipeline are started."""
    path, made = generated_path(pipeline), rendered(config, pipeline)
    text = made.text
    handed = {
        Env.SOURCES: provisioned.sources_json,
        Env.CONFIG_HASH: config_hash(text),
        Env.TOPIC_IDS: provisioned.topic_ids_json,
        Env.FORKS: provisioned.forks_json,
        **handed_to_parser(pipeline.source),
        **made.env,
        **handed_to_steps(pipeline),
    }
    handed |= handed_to_outputs(pipeline)
    masker = Masker(config.secrets)
    # A reason that the engine logs may quote a record.
    hidden = privacy_of(pipeline).logged
    # The resolved configuration may differ from the one that was tried before the servers had their addresses.
    linter.write(binary, path, made, pipeline, masker)

    departures = Departures(pipeline.name, pipeline.kafka.cluster, pipeline.kafka.consumer_group)

    def launch(replica: int) -> Engine:
        if not path.is_file() or path.read_bytes() != text.encode():
            linter.write(binary, path, made, pipeline, masker)
        elif reads_files(pipeline):
            # One that has vanished would end every engine at once, for ever.
            refuse_mistakes(binary, [pipeline], masker)
        log = EngineLog(pipeline.name, replica)
        profiles = engine_environment(PROFILES, pipeline.name, replica) if pipeline.profiling else {}
        name = launched_id(pipeline, replica, secrets.token_hex(_LAUNCH_BYTES))
        env = {
            **handed,
            **profiles,
            Env.CLIENT_ID: name,
            Env.COMMIT: commit_note(pipeline),
            Env.MARKS: _marks(pipeline, provisioned),
        }
        limit = pipeline.engine.memory_limit
        spec = EngineSpec(binary, path, env, pipeline.engine.drain, limit, folder=pipeline.folder)
        engine = launcher.launch(spec, replica, lambda line: log(line.level, hidden(line.message), line.fields))
        started = structlog.get_logger().bind(pipeline=pipeline.name, replica=replica)
        started.info(_STARTED[pipeline.engine.launcher], **_known(engine), config=str(path))
        return _Launched(engine, lambda said: masker.text(hidden(said)), partial(departures.ended, name))

    return Launchable(launch, config_hash(text), provisioned.partitions)


def _marks(pipeline: Pipeline, provisioned: Provisioned) -> str:
    """The newest mark of each partition as the engine reads it: offset and checksum, by topic and partition.

    Of thousands of partitions those have none that find no room: the engine takes its own when it has read there.
    """
    remembered = progress_file(pipeline.name).load()
    found: dict[str, dict[str, tuple[int, int]]] = {}
    room = _MOST_OF_MARKS
    for each, marks in (remembered.marks(provisioned.topic_ids) if remembered else {}).items():
        if marks and room > 0:
            last = str(each.partition), (marks[-1].offset, marks[-1].digest)
            room -= len(json.dumps(last)) + (0 if each.topic in found else len(json.dumps(each.topic)) + 4)
            found.setdefault(each.topic, {})[last[0]] = last[1]
    return json.dumps(found, sort_keys=True)


def config_hash(text: str) -> str:
    """A short name for an engine's configuration."""
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_LENGTH]


def _known(engine: Engine) -> dict[str, object]:
    return {name: value for name, value in (("pid", engine.pid), ("url", engine.url)) if value is not None}


class _Launched:
    """An engine whose last words are fit to be shown; `left_behind` is called when it ends without leaving its group.

    An engine that drains leaves by itself, and then ends with exit code 0.
    """

    def __init__(self, engine: Engine, clean: Callable[[str], str], left_behind: Callable[[], object]) -> None:
        self._engine = engine
        self._clean = clean
        self._left_behind: Callable[[], object] | None = left_behind
        self.trouble = engine.trouble
        self.terminate = engine.terminate
        self.kill = engine.kill

    def exit_code(self) -> int | None:
        code = self._engine.exit_code()
        if code is not None and self._left_behind is not None:
            left_behind, self._left_behind = self._left_behind, None
            if code != 0:
                left_behind()
        return code

    @property
    def pid(self) -> int | None:
        return self._engine.pid

    @property
    def container(self) -> str | None:
        return self._engine.container

    @property
    def url(self) -> str | None:
        return self._engine.url

    def ending(self) -> str | None:
        said = self._engine.ending()
        return None if said is None else self._clean(said)

    def last_lines(self) -> tuple[str, ...]:
        return tuple(map(self._clean, self._engine.last_lines()))
