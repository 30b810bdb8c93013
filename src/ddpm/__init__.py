"""ddpm, the Distributed Data Pipeline Manager: one YAML file becomes a supervised streaming pipeline."""

# The one place of the version: the wheel, the API, the metrics and the console take it from here.
__version__ = "0.1.0"
