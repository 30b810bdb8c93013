"""The story of one run, readable from top to bottom: load, provision, render, lint, launch, watch, drain."""

from ddpm.orchestrator.run import RunOptions, Started, run

__all__ = ["RunOptions", "Started", "run"]
