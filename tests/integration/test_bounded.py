"""Bounded runs: `once: true` reads to the end that the topics had at the start, and then ddpm ends by itself."""

import os
import signal
from pathlib import Path

from kafka import KafkaProducer

from harness.process import Ddpm
from harness.world import World, json_records

ENDS_WITHIN = 120.0


def run_once(world: World, folder: Path) -> str:
    """Run to the end and return the log."""
    with Ddpm(world.config(once=True), folder) as running:
        assert running.popen.wait(ENDS_WITHIN) == 0, running.log
        return running.log


def test_it_reads_what_was_there_and_the_next_run_what_came_since(world: World, tmp_path: Path) -> None:
    world.create_topic()
    world.produce(json_records([{"n": n} for n in range(300)]))
    assert "read to the end that the topics had at the start" in run_once(world, tmp_path)
    assert (world.count(), world.lag()) == (300, 0)
    world.produce(json_records([{"n": n} for n in range(300, 400)]))
    run_once(world, tmp_path)
    assert world.count() == 400


def test_one_that_is_cut_short_does_not_end_with_success(world: World, tmp_path: Path) -> None:
    world.create_topic()
    world.produce(json_records([{"n": n} for n in range(300)]))
    with Ddpm(world.config(once=True), tmp_path) as running:
        os.kill(running.engine_pid, signal.SIGSTOP)
        running.popen.send_signal(signal.SIGTERM)
        assert running.popen.wait(ENDS_WITHIN) == 1
        assert "stopped before it had read to the end: pipeline" in running.log


def test_an_empty_topic_is_done_at_once(world: World, tmp_path: Path) -> None:
    world.create_topic()
    run_once(world, tmp_path)
    assert world.count() == 0


def test_markers_of_transactions_at_the_end_do_not_keep_it_waiting(world: World, tmp_path: Path) -> None:
    world.create_topic()
    producer = KafkaProducer(bootstrap_servers=[world.bootstrap], transactional_id=f"bounded-{world.tag}")
    producer.init_transactions()
    producer.begin_transaction()
    for partition in range(3):
        producer.send(world.topic, b'{"n": 1}', partition=partition)
    producer.commit_transaction()
    producer.close()
    run_once(world, tmp_path)
    assert world.count() == 3
    assert world.lag() == 0, "the group has passed the markers, too"
