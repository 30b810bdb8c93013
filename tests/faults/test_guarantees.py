"""Every fault under traffic, then an audit: nothing lost or twice, only poison dead, nobody helped, no secret told.

`make test-faults` runs all faults, three rounds each, and writes the table of docs/guarantees.md. `make test-all` runs
the short form: one round of some of them.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from ddpm.devstack import EmbeddedKafka, EmbeddedPostgres
from ddpm.engine.progress import Progress
from harness.fault_results import Results, results_of
from harness.faults import FAULTS, Fault, kill_engine, killed_while_one_batch_is_held_back, may_mount, small_disk
from harness.folders import FreshDir
from harness.mutants import Mutate
from harness.rig import Rig, Servers
from harness.standby import standby_pair
from harness.waiting import eventually

POSTGRES = "internal/sinks/postgrescopy"
TIMES, TIMES_SHORT = 20, 3
DISK_MEGABYTES = 64
# A group waits for the session of a member that was killed.
READING_SECONDS = 60
LOST_SECONDS = 5


@pytest.fixture(scope="module")
def servers(fresh_dir: FreshDir, progress: Progress, engine_binary: Path) -> Iterator[Servers]:
    """Servers that no other test uses: they are killed and frozen."""
    with (
        EmbeddedKafka(fresh_dir("faults-kafka"), progress=progress) as kafka,
        EmbeddedPostgres(fresh_dir("faults-postgres"), progress=progress) as postgres,
    ):
        yield Servers(kafka, postgres, engine_binary).admit()


@pytest.fixture(scope="module")
def results(request: pytest.FixtureRequest) -> Results:
    """What each round has shown; written down at the end of a run of all faults."""
    return results_of(request.config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "fault" not in metafunc.fixturenames:
        return
    rounds = metafunc.config.getoption("--fault-rounds")
    chosen = [(fault, number) for fault in FAULTS for number in range(rounds or 1) if rounds or fault.short]
    metafunc.parametrize(("fault", "number"), chosen, ids=[f"{fault.name}-{number + 1}" for fault, number in chosen])


@pytest.fixture
def servers_of(fault: Fault, servers: Servers, progress: Progress, request: pytest.FixtureRequest) -> Iterator[Servers]:
    """The servers of a fault; one that loses its primary has a pair of its own, for what was promoted never follows."""
    if fault.cluster:
        yield replace(servers, cluster=request.getfixturevalue("cluster"))
        return
    if fault.standby is None:
        yield servers
        return
    with standby_pair(request.getfixturevalue("fresh_dir")("pair"), progress) as pair:
        yield replace(servers, postgres=pair.primary, standby=pair.standby).admit()


@pytest.fixture
def rig(fault: Fault, servers_of: Servers, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Rig]:
    times = TIMES if request.config.getoption("--fault-rounds") else TIMES_SHORT
    with ExitStack() as stack:
        if fault.disk and not may_mount():
            pytest.skip("needs the right to mount a small disk")
        disk = stack.enter_context(small_disk(DISK_MEGABYTES)) if fault.disk else None
        folder = disk if disk and fault.disk == "ddpm" else tmp_path
        small = disk if fault.disk == "table" else None
        listed = None if fault.standby == "name" else fault.standby
        yield stack.enter_context(Rig(servers_of, folder, times, small, fault.sections, listed, fault.rotates))


# A broker that is killed costs the producer's client a socket that it does not close.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.timeout(900)
def test_invariants_hold(fault: Fault, number: int, rig: Rig, results: Results) -> None:
    del number
    results.setdefault(fault.name, []).append(rig.suffer(fault.happen).numbers())


def killed_a_few_times(rig: Rig) -> None:
    """A fault after which records are delivered again."""
    for _ in range(3):
        kill_engine(rig)
        rig.traffic.wait_for(1_000)


def killed_while_rows_come_in(rig: Rig) -> None:
    """The same, but never before the engine has begun to read, which leaves nothing to deliver again."""
    for _ in range(3):
        rows = rig.world.count()
        eventually(partial(has_more_rows, rig, rows), "rows come in", READING_SECONDS)
        kill_engine(rig)


def has_more_rows(rig: Rig, than: int) -> bool:
    return rig.world.count() > than


def test_the_suite_fails_without_identity(mutate: Mutate, servers: Servers, tmp_path: Path) -> None:
    # Each engine has an identity of its own for the same record.
    careless = mutate(
        (f"{POSTGRES}/encode.go", "AppendInt(text, source, 10)", "AppendInt(text, source+run, 10)"),
        (
            "internal/sinks/postgrescopy/config.go",
            "// identity returns",
            "var run = int64(os.Getpid())\n\n// identity returns",
        ),
    )
    with (
        Rig(replace(servers, engine=careless), tmp_path, 1) as rig,
        pytest.raises(AssertionError, match="a row is there twice"),
    ):
        rig.suffer(killed_while_rows_come_in)


def promoted_without_all_commits(rig: Rig) -> None:
    """A fail-over to a standby that no commit waited for, and that was away for a while."""
    standby = rig.servers.standby
    assert standby is not None
    with rig.superuser() as admin:
        admin.execute("alter system reset synchronous_standby_names")
        admin.execute("select pg_reload_conf()")
    standby.kill()
    rig.wait(LOST_SECONDS)
    rig.servers.postgres.kill()
    standby.start()
    standby.promote()
    rig.switched()


def test_the_suite_fails_if_a_standby_lacks_commits(
    servers: Servers, fresh_dir: FreshDir, progress: Progress, tmp_path: Path
) -> None:
    with (
        standby_pair(fresh_dir("lacking"), progress) as pair,
        Rig(replace(servers, postgres=pair.primary, standby=pair.standby).admit(), tmp_path, 1, listed="url") as rig,
        pytest.raises(AssertionError, match="lost: in neither table nor dead letters"),
    ):
        rig.suffer(promoted_without_all_commits)


def test_the_suite_fails_without_isolation(mutate: Mutate, servers: Servers, tmp_path: Path) -> None:
    all_are_to_blame = """\
	p.refused = nil
	for i := range p.b.rows {
		p.refused = append(p.refused, refusedRow{row: i, err: refused[0].err, certain: true})
	}
	return nil
"""
    only_some_are = "\tp.refused = refused\n\treturn p.judgeRefused(ctx)\n"
    careless = mutate((f"{POSTGRES}/write.go", only_some_are, all_are_to_blame))
    told = "good records in the dead letters|both in the table and in the dead letters"
    # The breaker would be in the way of what is to be seen.
    sections = {"dead_letter": {"breaker": "off"}}
    with (
        Rig(replace(servers, engine=careless), tmp_path, 1, sections=sections) as rig,
        pytest.raises(AssertionError, match=told),
    ):
        rig.suffer(killed_a_few_times)


def test_the_suite_fails_without_the_order_of_acknowledgements(
    mutate: Mutate, servers: Servers, tmp_path: Path
) -> None:
    # Whatever was read before a batch that is done is taken for done.
    hasty = (
        "\t\tfor _, before := range p.of.pending {\n\t\t\tbefore.done = before.done || before.next <= p.next\n\t\t}\n"
    )
    careless = mutate(("internal/input/progress.go", "\t\tp.done = true\n", hasty))
    with (
        Rig(replace(servers, engine=careless), tmp_path, 1) as rig,
        pytest.raises(AssertionError, match="lost: in neither table nor dead letters"),
    ):
        rig.suffer(killed_while_one_batch_is_held_back)
