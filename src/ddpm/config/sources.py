"""What a configuration is read from: a file or a folder, overlays, single values, and what ddpm keeps."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ddpm.config.files import digest_of

_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a configuration stands, in the order in which the later changes the earlier.

    Attributes:
        path: The file, or the folder whose files are read together.
        overlays: Files that change what stands there.
        sets: Single values, as `app.replicas=2`.
        stored: The folder of pipelines that were made through the API.

    """

    path: Path
    overlays: tuple[Path, ...] = ()
    sets: tuple[str, ...] = ()
    stored: Path | None = None

    @property
    def folder(self) -> Path:
        """Where the relative paths in it are looked up, besides the working folder."""
        path = self.path.absolute()
        return path if path.is_dir() else path.parent

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of the configuration itself, of a folder by name; an overlay in it is none of them."""
        if not self.path.is_dir():
            return (self.path,)
        overlays = {each.absolute() for each in self.overlays}
        return tuple(each for each in files_in(self.path) if each.absolute() not in overlays)

    @property
    def pipelines(self) -> Mapping[str, Path]:
        """The file of each pipeline that was made through the API, by its name."""
        return {each.stem: each for each in files_in(self.stored)} if self.stored else {}

    @property
    def folders(self) -> dict[Path, str]:
        """Its folders, each with a digest of which files are in it."""
        found = [each for each in (self.path, self.stored) if each is not None and (each != self.path or each.is_dir())]
        return {each: digest_of_folder(each) for each in found}


def files_in(folder: Path) -> tuple[Path, ...]:
    """The YAML files directly in a folder, by name, without hidden ones; none where there is no such folder."""
    try:
        found = sorted(folder.iterdir(), key=lambda each: each.name)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    return tuple(each for each in found if _is_read(each))


def digest_of_folder(folder: Path) -> str:
    """Names the files of a folder, to find out whether one was added or removed."""
    return digest_of("\0".join(each.name for each in files_in(folder)))


def _is_read(path: Path) -> bool:
    return path.suffix in _SUFFIXES and not path.name.startswith(".") and path.is_file()
