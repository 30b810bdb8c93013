"""The names of pipelines: which one is meant when none is given, and how a shell completes them."""

from collections.abc import Sequence

from ddpm.cli.configuration import read_config
from ddpm.errors import ConfigError, DdpmError
from ddpm.names import means, whole_of


def only(names: Sequence[str]) -> str:
    """The one name that there is; raises ConfigError, which lists them, when there are several or none."""
    if len(names) == 1:
        return names[0]
    if not names:
        raise ConfigError("there is no pipeline")
    raise ConfigError(f"there are several pipelines: {', '.join(names)}", hint="name one of them")


def meant(names: Sequence[str], name: str | None) -> list[str]:
    """Those that a name means, of the names that pipelines run under; without a name all parts of the only pipeline.

    A name that means none is returned as it is: a ddpm says better which there are. Raises ConfigError as `only` does.
    """
    if name is None:
        name = only(list(dict.fromkeys(map(whole_of, names))))
    return [each for each in names if means(name, each)] or [name]


def complete_name(incomplete: str) -> list[str]:
    """The pipelines of the configuration whose names begin so; none when there is no valid configuration."""
    try:
        found = read_config(None).config.pipelines
    except (DdpmError, OSError):
        return []
    names = dict.fromkeys(name for each in found for name in (each.whole, each.name))
    return [name for name in names if name.startswith(incomplete)]
