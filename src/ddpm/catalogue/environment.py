"""Names of the environment variables through which ddpm hands the engine what must not stand in its configuration."""

POSTGRES_DSN = "DDPM_POSTGRES_DSN"
SOURCES = "DDPM_SOURCES"
TOPIC_IDS = "DDPM_TOPIC_IDS"
SCHEMA_REGISTRY = "DDPM_SCHEMA_REGISTRY"
PYTHON = "DDPM_PYTHON"
ENGINE_PORT = "DDPM_ENGINE_PORT"
PROFILE_FOLDER = "DDPM_PROFILE_FOLDER"
