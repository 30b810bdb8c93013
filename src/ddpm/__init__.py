"""ddpm, the Distributed Data Pipeline Manager: one YAML file becomes a supervised streaming pipeline."""

from importlib.metadata import version

__version__ = version("ddpm")
