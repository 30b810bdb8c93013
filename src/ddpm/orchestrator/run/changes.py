"""Whether the files that a run was made from are still the ones that it read: until then an edit has no effect."""

import threading
import time
from collections.abc import Mapping
from pathlib import Path

from ddpm.config.files import digest_of, text_of
from ddpm.config.model import BLOBLANG, Config
from ddpm.config.sources import digest_of_folder, files_in

_EVERY_SECONDS = 1.0


class ConfigFiles:
    """The files of the configuration, templates and mappings of one run. Any thread may ask; read once a second.

    Args:
        config: What was loaded.

    """

    def __init__(self, config: Config) -> None:
        others = {each.pipeline_template for each in config.pipelines if each.pipeline_template}
        plugins = (each.source.plugin for each in config.pipelines)
        others |= {Path(each.path) for each in plugins if each and each.path and each.path.endswith(BLOBLANG)}
        self._digests = {path: _digest(path) for path in sorted(others)}
        self._secrets = frozenset(config.secret_files)
        self._digests |= config.secret_files
        # Of the configuration itself, what was really loaded counts: it may have been changed right afterwards.
        self._digests |= config.files or {config.path: _digest(config.path)}
        self._digests |= config.folders
        self._folders = frozenset(config.folders)
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._said: str | None = None

    def changed(self) -> str | None:
        """Which of them have changed and what to do about it; None while none has."""
        with self._lock:
            if time.monotonic() - self._looked_at >= _EVERY_SECONDS:
                self._said = self._look()
                self._looked_at = time.monotonic()
            return self._said

    @property
    def read(self) -> Mapping[Path, str]:
        """What the files were when they were read."""
        return self._digests

    def only_secrets(self, digests: Mapping[Path, str]) -> bool:
        """Whether nothing but secrets differs between what the files were and `digests`."""
        return all(digests[path] == before for path, before in self._digests.items() if path not in self._secrets)

    def digests(self) -> Mapping[Path, str]:
        """What the files are now; empty for one that cannot be read."""
        return {path: self._now(path) for path in self._digests}

    def _now(self, path: Path) -> str:
        if path not in self._folders:
            return _digest(path)
        # One that was added may be edited again before it can be read.
        added = [_digest(each) for each in files_in(path) if each not in self._digests]
        return "".join([digest_of_folder(path), *added])

    def edited(self) -> str | None:
        """As `changed`, at this moment, and nothing when only secrets have changed."""
        digests = self.digests()
        return None if self.only_secrets(digests) else self._look()

    def _look(self) -> str | None:
        names = [path.name for path, digest in self._digests.items() if self._now(path) != digest]
        return f"{', '.join(names)} changed since it was read; `ddpm reload` applies it" if names else None


def _digest(path: Path) -> str:
    try:
        return digest_of(text_of(path))
    except (OSError, ValueError):
        # It is gone, or no text any more.
        return ""
