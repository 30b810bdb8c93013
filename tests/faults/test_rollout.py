"""What Kubernetes does to pods, done to processes: one is terminated, all are rolled over. Nothing is lost or twice.

Each ddpm is a pod: it has a folder of its own, and all are in one consumer group.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psycopg
import yaml
from psycopg import sql

from ddpm.broker.connection import admin
from harness.audit import audit
from harness.manifests import MANIFESTS
from harness.process import STOP_TIMEOUT, Ddpm
from harness.traffic import COLUMNS, POISON_EVERY, Traffic, expected
from harness.waiting import eventually
from harness.world import World

POD = yaml.safe_load((MANIFESTS / "base" / "deployment.yaml").read_text())["spec"]["template"]["spec"]
GRACE = float(POD["terminationGracePeriodSeconds"])
DRAIN = 20.0
SHORT_DRAIN = 3.0


def pod(world: World, folder: Path, name: str, **engine: Any) -> Ddpm:
    """A ddpm as a pod runs it."""
    home = folder / name
    home.mkdir()
    config = world.config(
        postgres={"columns": COLUMNS}, batching={"count": 500}, engine={"binary": str(world.engine), **engine}
    )
    return Ddpm(config, home)


def probe(of: Ddpm, path: str) -> tuple[int, str]:
    """What kubelet gets for a probe; 0 when nobody answers."""
    try:
        answer = httpx.get(f"{of.url}{path}", timeout=5, trust_env=False)
    except httpx.HTTPError:
        return 0, ""
    return answer.status_code, answer.text


def _unready(of: Ddpm) -> tuple[int, str] | None:
    code, said = probe(of, "/readyz")
    return None if code == httpx.codes.OK else (code, said)


def members(world: World) -> int:
    """How many engines are in the group."""
    with admin([world.bootstrap]) as client:
        return len(client.describe_groups([world.group])[world.group]["members"])


@contextmanager
def locked(world: World) -> Iterator[psycopg.Connection[Any]]:
    """Nobody can write the table in the block, or until the connection commits."""
    with psycopg.connect(world.dsn) as connection:
        connection.execute(sql.SQL("lock table {} in access exclusive mode").format(sql.Identifier(world.table)))
        yield connection
        connection.rollback()


def test_a_terminated_pod_goes_unready_drains_and_ends_well_within_its_grace_period(
    world: World, tmp_path: Path
) -> None:
    with pod(world, tmp_path, "old") as old, pod(world, tmp_path, "new") as new:
        old.wait_healthy()
        new.wait_healthy()
        with Traffic(world) as traffic:
            traffic.wait_for(2_000)
            assert (probe(old, POD["containers"][0]["readinessProbe"]["httpGet"]["path"]))[0] == httpx.codes.OK
            with locked(world) as holding:
                traffic.wait_for(1_000)
                began = time.monotonic()
                old.popen.terminate()
                code, said = eventually(lambda: _unready(old), "the pod goes unready", 5)
                assert (code, "draining" in said) == (503, True)
                # Kubernetes must not kill what drains.
                assert probe(old, "/livez")[0] == httpx.codes.OK
                assert old.popen.poll() is None, "it does not wait for what is in flight"
                holding.rollback()
            assert old.popen.wait(STOP_TIMEOUT) == 0
            assert time.monotonic() - began < DRAIN, "it ends when all is written, not when the drain is over"
            new.wait_healthy()
            traffic.wait_for(1_000)
            produced = traffic.finish()
        world.wait_consumed()
        assert new.stop() == 0
    # Its partitions changed hands while batches were in flight: those were delivered again, dead letters too.
    assert audit(world, expected, crashed=True).produced == produced


def test_a_drain_that_does_not_end_is_cut_in_time_and_costs_nothing(world: World, tmp_path: Path) -> None:
    with pod(world, tmp_path, "old", drain=f"{SHORT_DRAIN:g}s") as old:
        old.wait_healthy()
        with Traffic(world) as traffic:
            traffic.wait_for(2_000)
            with locked(world):
                traffic.wait_for(1_000)
                began = time.monotonic()
                assert old.stop() == 0
                took = time.monotonic() - began
            # The same sum as the grace period's.
            assert took < SHORT_DRAIN + GRACE - DRAIN
            produced = traffic.finish()
    with pod(world, tmp_path, "new") as new:
        new.wait_healthy()
        world.wait_consumed()
        assert new.stop() == 0
    assert audit(world, expected, crashed=True).produced == produced


def test_a_rollout_under_traffic_loses_and_doubles_nothing(world: World, tmp_path: Path) -> None:
    """As maxSurge 1 and maxUnavailable 0 do it: a third pod has no partition, and is ready, until an old one leaves."""
    world = replace(world, partitions=2)
    with ExitStack() as stack:
        # Both at once, on servers that have neither topic nor table.
        old = [stack.enter_context(pod(world, tmp_path, f"old-{number}")) for number in range(2)]
        for each in old:
            each.wait_healthy()
        with Traffic(world) as traffic:
            traffic.wait_for(2_000)
            new = []
            for number, leaving in enumerate(old):
                new.append(stack.enter_context(pod(world, tmp_path, f"new-{number}")).wait_healthy())
                assert members(world) == 3
                assert leaving.stop(timeout=GRACE) == 0
                eventually(lambda: all(each.health()[0] == httpx.codes.OK for each in new), "who stays is ready")
                traffic.wait_for(2_000)
            produced = traffic.finish()
        world.wait_consumed()
        assert [each.stop(timeout=GRACE) for each in new] == [0, 0]
    books = audit(world, expected, crashed=True)
    assert (books.produced, books.dead) == (produced, -(-produced // POISON_EVERY))
