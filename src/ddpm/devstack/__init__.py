"""Embedded servers for first steps, tests and benchmarks: real Kafka, real PostgreSQL, on the loopback interface.

They end with the ddpm that started them, and their data stays. Nothing in here knows pipelines.
"""

from ddpm.devstack.kafka import EmbeddedKafka
from ddpm.devstack.postgres import EmbeddedPostgres
from ddpm.devstack.stack import DevStack, Leftover, check_installed, leftovers, remove_data, stop_leftovers

__all__ = [
    "DevStack",
    "EmbeddedKafka",
    "EmbeddedPostgres",
    "Leftover",
    "check_installed",
    "leftovers",
    "remove_data",
    "stop_leftovers",
]
