"""Which pipelines of two configurations differ, and in what."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ddpm.components import parsers
from ddpm.components.processors import files_of_steps
from ddpm.config.model import Config, Pipeline
from ddpm.config.several import PROCESS_WIDE
from ddpm.orchestrator.prepare import rendered

# An engine knows nothing of them: they are taken over while it runs.
IN_PLACE = ("replicas", "scale")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Checksums of what pipelines have in common that run alike.

    Attributes:
        keys: What the pipeline says, without what is taken over in place.
        in_place: What is taken over while its engines run on.
        engine: The engine's configuration.
        secrets: What the engine is given besides, and no file holds.
        files: The files that it reads.

    """

    keys: str
    in_place: str
    engine: str
    secrets: str
    files: tuple[tuple[str, str], ...]

    @property
    def restarts(self) -> tuple[object, ...]:
        """What an engine has to be started again for."""
        return self.keys, self.engine, self.secrets, self.files

    def changed_files(self, before: "Fingerprint") -> tuple[str, ...]:
        """The files that are others than before."""
        known = dict(before.files)
        return tuple(path for path, digest in self.files if known.get(path, digest) != digest)


def fingerprint(config: Config, pipeline: Pipeline) -> Fingerprint:
    """What a pipeline is run by; raises ConfigError as rendering does."""
    made = rendered(config, pipeline)
    return Fingerprint(
        _digest(pipeline.model_dump(exclude={*PROCESS_WIDE, *IN_PLACE})),
        _digest(pipeline.model_dump(include=set(IN_PLACE))),
        _digest(made.text),
        # Secrets count with what they are; nothing of this is kept but a checksum.
        _digest(sorted(made.env.items())),
        tuple((str(path), _checksum(path)) for path in (*parsers.files(pipeline.source), *files_of_steps(pipeline))),
    )


def fingerprints(config: Config) -> dict[str, Fingerprint]:
    """Those of all pipelines, by name."""
    return {each.name: fingerprint(config, each) for each in config.pipelines}


def named(prints: Mapping[str, Fingerprint]) -> str:
    """A short name for what runs by these, or would; empty for nothing."""
    return _digest(sorted(prints.items()))[:12] if prints else ""


def _digest(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _checksum(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class Changes:
    """How the pipelines of one configuration differ from those of another, by name.

    Those of `in_place` are among `changed`; their engines run on.
    """

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    in_place: tuple[str, ...] = ()

    @property
    def fresh(self) -> tuple[str, ...]:
        """Those that are prepared anew."""
        return (*self.added, *self.changed)

    @property
    def started(self) -> tuple[str, ...]:
        """Those whose engines are started."""
        return tuple(name for name in self.fresh if name not in self.in_place)

    def of(self, name: str) -> str:
        """What happens to one: `added`, `changed`, `removed` or `unchanged`."""
        kinds = {"added": self.added, "changed": self.changed, "removed": self.removed}
        return next((kind for kind, names in kinds.items() if name in names), "unchanged")

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    def __str__(self) -> str:
        kinds = (("added", self.added), ("changed", self.changed), ("removed", self.removed))
        return "; ".join(f"{kind}: {', '.join(names)}" for kind, names in kinds if names) or "nothing has changed"


def compare(before: Mapping[str, Fingerprint], now: Mapping[str, Fingerprint]) -> Changes:
    """Compare the fingerprints of pipelines, by name; names in the order of `now`, then of `before`."""
    changed = tuple(name for name in now if name in before and now[name] != before[name])
    return Changes(
        tuple(name for name in now if name not in before),
        changed,
        tuple(name for name in before if name not in now),
        tuple(name for name in now if before.get(name) == now[name]),
        tuple(name for name in changed if before[name].restarts == now[name].restarts),
    )
