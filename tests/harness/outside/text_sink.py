"""A sink in a file of its own: documents as lines of a text file, written by the engine's `file` output."""

from pathlib import Path

from pydantic import Field

from ddpm.component import Component
from ddpm.config.model import NonEmptyStr, Pipeline, Sink


class TextFile(Sink):
    """The fields are what a configuration may say: `sinks: [{text_file: {path: /data/orders.jsonl}}]`."""

    kind = "text_file"
    summary = "a text file, a document a line, at least once"

    path: NonEmptyStr = Field(examples=["/data/orders.jsonl"], description="the file; its folder is made")

    @property
    def shown(self) -> str:
        """What lists, the console and messages call it."""
        return self.path

    def provision(self, pipeline: Pipeline) -> None:
        """Runs before the engines start, and with `ddpm provision`."""
        Path(self.path).parent.mkdir(parents=True, exist_ok=True)

    def output(self, pipeline: Pipeline) -> Component:
        """The engine's output, in the kit that makes records wait while the destination is away."""
        file: Component = {"file": {"path": self.path, "codec": "lines"}}
        return {"ddpm_sink": {"name": f"the file {self.path}", "output": file}}
