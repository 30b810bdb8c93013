"""Engines that others run: ddpm knows where they answer, and leaves them alone."""

from ddpm.engine.launching import EngineSpec, OnLog


class ExternalEngine:
    """An engine of others; to end it is to look at it no more."""

    pid = None
    container = None

    def __init__(self, url: str) -> None:
        self.url = url
        self._watched = True

    def exit_code(self) -> int | None:
        """None as long as it is watched, whether it runs or not."""
        return None if self._watched else 0

    def ending(self) -> str | None:
        """How it ends is unknown here."""
        return None

    def trouble(self) -> str | None:
        """Anyone who asks it finds out how it is."""
        return None

    def terminate(self) -> None:
        """Watch it no more."""
        self._watched = False

    kill = terminate

    def last_lines(self) -> tuple[str, ...]:
        """Its log is with those who run it."""
        return ()


class ExternalLauncher:
    """Starts nothing."""

    def __init__(self, url: str) -> None:
        self._url = url

    def launch(self, spec: EngineSpec, replica: int, on_log: OnLog) -> ExternalEngine:
        """Begin to watch it."""
        return ExternalEngine(self._url)

    def close(self) -> None:
        """Nothing was started."""
