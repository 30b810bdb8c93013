"""The user's configuration: its model, and how a file becomes one."""

from ddpm.config.load import LoadResult, load
from ddpm.config.model import Config, Pipeline
from ddpm.config.paths import find_config_path
from ddpm.config.problems import (
    ConfigProblems,
    Problem,
    Severity,
    format_problem,
    format_problems,
    headline,
    to_json,
)
from ddpm.config.schema import json_schema

__all__ = [
    "Config",
    "ConfigProblems",
    "LoadResult",
    "Pipeline",
    "Problem",
    "Severity",
    "find_config_path",
    "format_problem",
    "format_problems",
    "headline",
    "json_schema",
    "load",
    "to_json",
]
