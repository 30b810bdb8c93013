"""Standard output: a document a line, for looking and for pipes."""

from ddpm.component import Component
from ddpm.config.model import Capabilities, Pipeline, Sink


class Stdout(Sink):
    """Standard output."""

    kind = "stdout"
    summary = "the standard output of ddpm, a document a line"
    capabilities = Capabilities(refuses_records=False)
    engine_output = "stdout"
    icon = ("M1.8 3h14.4v12H1.8Z", "m4.6 6.4 2.6 2.6-2.6 2.6M9 11.8h4")

    def output(self, pipeline: Pipeline) -> Component:
        """The engine's own output."""
        del pipeline
        return {self.engine_output: {"codec": "lines"}}

    def misfit(self, pipeline: Pipeline) -> str | None:
        """A container has a standard output of its own."""
        if pipeline.engine.launcher != "container":
            return None
        return "the documents of a stdout sink would stay in the container; write them to a topic or a table"
