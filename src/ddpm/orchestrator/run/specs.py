"""What the supervisor has to know of each pipeline, by its configuration."""

from pathlib import Path

from ddpm.config.model import Pipeline, Scale
from ddpm.config.parts import run_before_as
from ddpm.orchestrator.prepare import DATA_DIR
from ddpm.orchestrator.run.watching import probes_of
from ddpm.supervisor.memory import HistoryFile, MemoryFile
from ddpm.supervisor.pipeline import PipelineSpec
from ddpm.supervisor.scaling import ScaleLimits, StabilizationWindow


def spec_of(pipeline: Pipeline) -> PipelineSpec:
    """What the supervisor has to know of a pipeline."""
    scale = pipeline.scale
    return PipelineSpec(
        name=pipeline.name,
        drain=pipeline.engine.drain,
        probes=probes_of(pipeline),
        replicas=pipeline.replicas,
        limits=ScaleLimits(scale.min, scale.max, scale.target_lag) if scale else None,
        memory=MemoryFile(_state(pipeline.name), [_state(name) for name in run_before_as(pipeline)]),
        history=HistoryFile(DATA_DIR / "state" / "history" / f"{pipeline.name}.json"),
        patience=_patience(scale) if scale else StabilizationWindow(),
        bounded=pipeline.once,
        external=pipeline.engine.external,
        # A template of somebody's own may have processors that drop documents, and outputs that keep no books.
        settles=any(sink.capabilities.audited for sink in pipeline.sinks) and pipeline.pipeline_template is None,
    )


def _state(name: str) -> Path:
    return DATA_DIR / "state" / f"{name}.json"


def _patience(scale: Scale) -> StabilizationWindow:
    usual = StabilizationWindow()
    return StabilizationWindow(
        settle=min(usual.settle, scale.up_after / 3),
        rise=scale.up_after,
        fall=scale.down_after,
        fall_longest=max(usual.fall_longest, scale.down_after),
    )
