"""The pipelines that were made through the API: a file each in the data folder, and one change of them at a time.

A change keeps what was there before beside it, hidden, until it has proven itself; a ddpm that dies meanwhile begins
again with that.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ddpm.config.files import LARGEST, read_text
from ddpm.errors import DdpmError, MissingToolError
from ddpm.files import write_atomically

_BEFORE = ".before"
MOST_BYTES = LARGEST
"""How long the keys of a pipeline may be."""


@dataclass(frozen=True, slots=True)
class StoredPipeline:
    """What is kept of a pipeline: its keys as YAML, and what names this version of them (no secret goes into it)."""

    text: str
    version: str


@dataclass(frozen=True, slots=True)
class Expected:
    """What has to be there for a change to be made.

    Attributes:
        versions: One of these; None asks for nothing. `*` is any.
        absent: Nothing may be there.

    """

    versions: frozenset[str] | None = None
    absent: bool = False

    def holds(self, found: StoredPipeline | None) -> bool:
        """Whether it is as expected."""
        if self.absent:
            return found is None
        if self.versions is None:
            return True
        return found is not None and ("*" in self.versions or found.version in self.versions)


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of one pipeline: its keys as YAML, None to remove it, and what has to be there before."""

    name: str
    text: str | None
    expected: Expected = Expected()


class NotAsExpectedError(DdpmError):
    """The pipeline is not, or not any more, what a change expects."""


class UnknownPipelineError(DdpmError):
    """There is no such pipeline."""


class NotOursError(DdpmError):
    """The pipeline stands in a file of the user's, or one of the files was edited."""

    @classmethod
    def of(cls, name: str, file: object) -> "NotOursError":
        """The one of a pipeline that stands in a file."""
        msg = f"the pipeline {name} stands in {file}, which the API does not change"
        return cls(msg, hint="change it there, and reload")


def require(edit: Edit, found: StoredPipeline | None) -> None:
    """Raise NotAsExpectedError, or UnknownPipelineError, when a change is not one of what is there."""
    if not edit.expected.holds(found):
        now = "it does not exist" if found is None else f'its ETag is "{found.version}"'
        hint = "get it again, and make the change of what it is by now"
        raise NotAsExpectedError(f"the pipeline {edit.name} is not as the request expects: {now}", hint=hint)
    if found is None and edit.text is None:
        raise UnknownPipelineError(f"there is no pipeline {edit.name} that was made through the API")


class PipelineStore:
    """The files of the pipelines that were made through the API.

    Args:
        folder: Where they are.

    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, name: str) -> Path:
        """The file of a pipeline."""
        return self._folder / f"{name}.yaml"

    def get(self, name: str) -> StoredPipeline | None:
        """What is kept under a name; None when nothing is."""
        path = self.path(name)
        try:
            # A file is never changed, but one put in its place: these name it.
            about = path.stat()
            return StoredPipeline(read_text(path), f"{about.st_mtime_ns:x}-{about.st_ino:x}-{about.st_size:x}")
        except (OSError, ValueError):
            return None

    def begin(self, edit: Edit) -> None:
        """Make a change, which is unmade unless `keep` follows.

        Raises:
            NotAsExpectedError: Something else is there than expected.
            UnknownPipelineError: What is to be removed is not there.
            MissingToolError: The files cannot be written.

        """
        path, found = self.path(edit.name), self.get(edit.name)
        require(edit, found)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if found is None:
                write_atomically(self._before(path), "")
            else:
                path.rename(self._before(path))
            if edit.text is not None:
                write_atomically(path, edit.text)
        except OSError as error:
            self.revert()
            msg = f"the pipeline {edit.name} cannot be written into {self._folder}: {error.strerror}"
            raise MissingToolError(msg, hint="let the user of ddpm write there") from error

    def keep(self) -> None:
        """The change has proven itself."""
        for before in self._pending():
            before.unlink(missing_ok=True)

    def revert(self) -> None:
        """Put back what was there before a change that has not proven itself."""
        for before in self._pending():
            path = self.path(before.name.removeprefix(".").removesuffix(f".yaml{_BEFORE}"))
            if before.stat().st_size:
                before.replace(path)
            else:
                path.unlink(missing_ok=True)
                before.unlink(missing_ok=True)

    def _pending(self) -> Iterator[Path]:
        yield from sorted(self._folder.glob(f".*.yaml{_BEFORE}"))

    @staticmethod
    def _before(path: Path) -> Path:
        return path.with_name(f".{path.name}{_BEFORE}")
