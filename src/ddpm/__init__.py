"""ddpm, the Distributed Data Pipeline Manager: one YAML file becomes a supervised streaming pipeline."""
