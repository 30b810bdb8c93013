"""The options that say which configuration a command is about: the same ones for every command that takes one."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

OVERLAY_VARIABLE = "CONFIG_OVERLAY"
"""The variable that names overlays, with colons between them, where `--overlay` names none."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the options of a command say about its configuration: `--config`, `--overlay` and `--set`."""

    path: Path | None = None
    overlays: tuple[Path, ...] = ()
    sets: tuple[str, ...] = ()


_PARAMETER = "config"

_Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="The configuration, a file or a folder; otherwise CONFIG_PATH names it, or it is ./app-config.yaml.",
        show_default=False,
    ),
]
_Overlay = Annotated[
    list[Path] | None,
    typer.Option(
        "--overlay",
        metavar="FILE",
        help=f"A file that changes keys of it; repeatable. Otherwise {OVERLAY_VARIABLE} names them.",
        show_default=False,
    ),
]
_Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="One value of it, as app.replicas=2; repeatable.", show_default=False
    ),
]


def accept_sources(app: typer.Typer) -> None:
    """Give the commands of an app that take a configuration the options that name one."""
    for command in app.registered_commands:
        taken = inspect.signature(command.callback).parameters if command.callback else {}
        # A group of commands is the same one when it is loaded again.
        if command.callback and _PARAMETER in taken and "overlay" not in taken:
            command.callback = _accepting(command.callback)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            accept_sources(group.typer_instance)


def _accepting(command: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(command)
    def called(
        *args: Any,  # noqa: ANN401 -- whatever the command takes
        config: Path | None = None,
        overlay: list[Path] | None = None,
        set_: list[str] | None = None,
        **options: Any,  # noqa: ANN401 -- as above
    ) -> Any:  # noqa: ANN401 -- as above
        given = Given(config, tuple(overlay or ()), tuple(set_ or ()))
        return command(*args, **{_PARAMETER: None if given == Given() else given}, **options)

    own = inspect.signature(command, eval_str=True).parameters
    rest = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for name, each in own.items() if name != _PARAMETER]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in ((_PARAMETER, _Config), ("overlay", _Overlay), ("set_", _Set))
    ]
    # This is what typer reads, in place of what the command itself says.
    called.__signature__ = inspect.Signature([*rest, *added])  # type: ignore[attr-defined]
    called.__annotations__ = {each.name: each.annotation for each in (*rest, *added)}
    return called
