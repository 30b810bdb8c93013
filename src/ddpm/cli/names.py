"""The names of pipelines: which one is meant when none is given, and how a shell completes them."""

import os
from collections.abc import Sequence

from ddpm.catalogue.parsers import OPTIONS
from ddpm.config import find_config_path, load
from ddpm.errors import ConfigError, DdpmError
from ddpm.plugins.loading import entry_point_names


def only(names: Sequence[str]) -> str:
    """The one name that there is; raises ConfigError, which lists them, when there are several or none."""
    if len(names) == 1:
        return names[0]
    if not names:
        raise ConfigError("there is no pipeline")
    raise ConfigError(f"there are several pipelines: {', '.join(names)}", hint="name one of them")


def complete_name(incomplete: str) -> list[str]:
    """The pipelines of the configuration whose names begin so; none when there is no valid configuration."""
    try:
        path = find_config_path(None, os.environ)
        found = load(path, os.environ, parsers=OPTIONS, installed=entry_point_names()).config.pipelines
    except (DdpmError, OSError):
        return []
    return [each.name for each in found if each.name.startswith(incomplete)]
