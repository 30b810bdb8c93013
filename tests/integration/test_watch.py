"""What watches broker and database, on real ones: what it sees of lag, and how it takes their freezing and dying."""

import os
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

import psycopg
import pytest
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata
from psycopg import sql

from ddpm.broker.topics import existing
from ddpm.broker.watch import ClusterWatch, Group, PartitionLag
from ddpm.broker.wire import Wire
from ddpm.devstack import EmbeddedKafka, EmbeddedPostgres
from ddpm.engine.progress import Progress
from ddpm.errors import ServiceError
from ddpm.store.shape import WatchedTable
from ddpm.store.watch import DatabaseWatch
from harness.folders import FreshDir
from harness.waiting import eventually

TIMEOUT = 3.0
SPARE = 3.0


class Topic:
    """A topic with one group on it, and a watch on both."""

    def __init__(self, brokers: Sequence[str], partitions: int = 1, **configs: str) -> None:
        self.brokers = list(brokers)
        self.name = f"watch-{uuid.uuid4().hex[:8]}"
        with admin(self.brokers) as client:
            wish = {"num_partitions": partitions, "replication_factor": 1, "configs": configs}
            client.create_topics({self.name: wish})
        eventually(lambda: self.name in existing(self.brokers), "the topic is there")
        self.watch = ClusterWatch(self.brokers, {"pipeline": Group(self.name, (self.name,))}, TIMEOUT)

    def lags(self) -> tuple[PartitionLag, ...]:
        return self.watch.look()["pipeline"]

    def produce(self, *values: bytes, key: bytes | None = None, timestamp: int | None = None) -> None:
        with producer(self.brokers) as client:
            for value in values:
                client.send(self.name, value, key=key, partition=0, timestamp_ms=timestamp)
            client.flush()

    def transaction(self, *values: bytes, commit: bool) -> None:
        with producer(self.brokers, transactional_id=f"{self.name}-writer") as client:
            client.init_transactions()
            client.begin_transaction()
            for value in values:
                client.send(self.name, value, partition=0)
            client.flush()
            client.commit_transaction() if commit else client.abort_transaction()

    def commit(self, offset: int, partition: int = 0) -> None:
        with admin(self.brokers) as client:
            client.alter_group_offsets(
                self.name, {TopicPartition(self.name, partition): OffsetAndMetadata(offset, "", -1)}
            )

    def readable(self, offset: int) -> int | None:
        return self.watch.readable(self.name, 0, offset)


def admin(brokers: Sequence[str]) -> KafkaAdminClient:
    return KafkaAdminClient(bootstrap_servers=list(brokers))


def producer(brokers: Sequence[str], **options: object) -> KafkaProducer:
    return KafkaProducer(bootstrap_servers=list(brokers), **options)


@pytest.fixture
def make(kafka: EmbeddedKafka) -> Iterator[Callable[..., Topic]]:
    made: list[Topic] = []

    def one(partitions: int = 1, **configs: str) -> Topic:
        made.append(Topic([kafka.bootstrap], partitions, **configs))
        return made[-1]

    yield one
    for topic in made:
        topic.watch.close()


def failure(look: Callable[[], object], within: float = TIMEOUT + SPARE) -> str:
    begun = time.monotonic()
    with pytest.raises(ServiceError) as caught:
        look()
    assert time.monotonic() - begun < within
    return caught.value.message


def answers(look: Callable[[], object]) -> bool:
    try:
        look()
    except ServiceError:
        return False
    return True


class TestLag:
    def test_every_partition_is_told_in_order(self, make: Callable[..., Topic]) -> None:
        topic = make(partitions=3)
        assert [(lag.partition, lag.committed, lag.lag, lag.seconds) for lag in topic.lags()] == [
            (0, None, 0, 0.0),
            (1, None, 0, 0.0),
            (2, None, 0, 0.0),
        ]
        topic.produce(b"1", b"2", b"3")
        topic.commit(1)
        first, *others = topic.lags()
        assert (first.committed, first.end, first.lag) == (1, 3, 2)
        assert 0 < first.seconds < 30
        assert [lag.lag for lag in others] == [0, 0]

    def test_lag_from_before_the_watch_takes_the_timestamp_of_the_record(self, make: Callable[..., Topic]) -> None:
        topic = make()
        topic.produce(b"old", timestamp=int((time.time() - 3600) * 1000))
        topic.produce(b"new")
        assert topic.lags()[0].seconds == pytest.approx(3600, abs=60)

    @pytest.mark.parametrize("days", [365 * 200, -60_000])
    def test_absurd_timestamps_do_not_show(self, make: Callable[..., Topic], days: int) -> None:
        topic = make(**{"message.timestamp.type": "CreateTime", "message.timestamp.after.max.ms": str(2**62)})
        topic.produce(b"odd", timestamp=max(0, int(time.time() + days * 86400) * 1000))
        assert topic.lags()[0].seconds < 60

    def test_records_that_retention_removed_are_not_due(self, make: Callable[..., Topic]) -> None:
        topic = make()
        topic.produce(*(b"%d" % number for number in range(10)))
        with admin(topic.brokers) as client:
            client.delete_records({TopicPartition(topic.name, 0): 7})
        lag = topic.lags()[0]
        assert (lag.start, lag.end, lag.lag, lag.position) == (7, 10, 3, 7)
        assert topic.readable(0) == 7
        assert topic.watch.due(lag) == 3

    def test_many_groups_take_no_more_questions_than_one(
        self, kafka: EmbeddedKafka, make: Callable[..., Topic], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        questions = Counter[str]()
        ask = Wire._ask

        def counted(wire: Wire, node: int | None, request: Any) -> Any:
            questions[type(request).__name__] += 1
            return ask(wire, node, request)

        brokers = [kafka.bootstrap]
        names = [f"many-{uuid.uuid4().hex[:8]}" for _ in range(20)]
        with admin(brokers) as client:
            client.create_topics({name: {"num_partitions": 3, "replication_factor": 1} for name in names})
            for place, name in enumerate(names):
                client.alter_group_offsets(name, {TopicPartition(name, 1): OffsetAndMetadata(place, "", -1)})
        one = make()
        eventually(one.watch.look, "the one group is seen")
        with closing(ClusterWatch(brokers, {name: Group(name, (name,)) for name in names}, TIMEOUT)) as watch:
            eventually(lambda: len(watch.look()) == len(names), "all groups are seen")
            monkeypatch.setattr(Wire, "_ask", counted)
            seen = watch.look()
        assert [seen[name][1].committed for name in names] == list(range(20))
        for_many = questions.copy()
        questions.clear()
        one.lags()
        assert for_many == questions

    def test_a_topic_that_is_not_there_concerns_its_group_alone(self, make: Callable[..., Topic]) -> None:
        topic = make()
        groups = {"good": Group("good", (topic.name,)), "bad": Group("bad", (topic.name, "not-there"))}
        watch = ClusterWatch(topic.brokers, groups, TIMEOUT)
        assert list(watch.look()) == ["good"]
        assert watch.problems["bad"].message == "there is no topic not-there"
        watch.close()

    def test_a_topic_that_is_made_again_is_seen_as_it_is_now(self, make: Callable[..., Topic]) -> None:
        topic = make()
        topic.produce(*[b"x"] * 5)
        assert topic.lags()[0].end == 5
        with admin(topic.brokers) as client:
            client.delete_topics([topic.name])
            eventually(lambda: topic.name not in existing(topic.brokers), "the topic is gone")
            client.create_topics({topic.name: {"num_partitions": 2, "replication_factor": 1}})
        ends = eventually(
            lambda: [lag.end for lag in topic.watch.look().get("pipeline", ())] in ([0], [0, 0]), "the new one is seen"
        )
        assert ends

    def test_brokers_that_tell_of_one_group_at_a_time(
        self, make: Callable[..., Topic], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Wire, "_takes_several_groups", lambda _: False)
        topic = make()
        topic.produce(b"1", b"2", b"3")
        topic.commit(2)
        assert topic.lags()[0].lag == 1


class TestReadable:
    def test_markers_of_transactions_at_the_tail_are_nothing_to_read(self, make: Callable[..., Topic]) -> None:
        topic = make()
        topic.transaction(b"1", b"2", commit=True)
        topic.commit(2)
        lag = topic.lags()[0]
        assert (lag.committed, lag.end, lag.lag) == (2, 3, 1)
        assert lag.seconds == 0
        assert topic.readable(2) is None
        assert topic.watch.due(lag) == 0
        topic.produce(b"next")
        assert topic.readable(2) == 3
        assert topic.watch.due(topic.lags()[0]) == 1
        assert topic.watch.due(topic.lags()[0], before=3) == 0

    def test_aborted_records_are_read_as_the_engine_reads_them(self, make: Callable[..., Topic]) -> None:
        topic = make()
        topic.transaction(b"1", b"2", commit=False)
        assert topic.lags()[0].end == 3
        assert topic.readable(0) == 0
        assert topic.readable(1) == 1
        assert topic.readable(2) is None

    def test_a_compacted_gap_is_passed_over(self, make: Callable[..., Topic]) -> None:
        topic = make(
            **{
                "cleanup.policy": "compact",
                "segment.ms": "50",
                "min.cleanable.dirty.ratio": "0.01",
                "delete.retention.ms": "0",
            }
        )
        for number in range(10):
            topic.produce(b"%d" % number, key=b"same")

        def gap() -> int | None:
            # Only what is not in the newest segment is compacted.
            topic.produce(b"roll", key=b"other")
            first = topic.readable(0)
            return first if first == 9 else None

        assert eventually(gap, "compaction leaves the last record of the key", timeout=90) == 9
        assert topic.readable(3) == 9
        assert topic.lags()[0].lag > 9

    def test_beyond_the_end_there_is_nothing(self, make: Callable[..., Topic]) -> None:
        topic = make()
        assert topic.readable(0) is None
        topic.produce(b"1")
        assert topic.readable(1) is None
        assert topic.readable(1000) is None

    def test_no_group_is_joined_and_nothing_committed(self, make: Callable[..., Topic]) -> None:
        topic = make()
        topic.produce(b"1")
        assert topic.readable(0) == 0
        topic.lags()
        with admin(topic.brokers) as client:
            assert (
                client.list_group_offsets({topic.name: [TopicPartition(topic.name, 0)]})[topic.name][
                    TopicPartition(topic.name, 0)
                ].offset
                == -1
            )
            assert topic.name not in {group["group_id"] for group in client.list_groups()}

    @pytest.mark.parametrize("compression", ["gzip"])
    def test_a_large_record_is_found(self, make: Callable[..., Topic], compression: str) -> None:
        topic = make()
        with producer(topic.brokers, compression_type=compression, max_request_size=2_000_000) as client:
            client.send(topic.name, os.urandom(900_000), partition=0)
            client.flush()
        assert topic.readable(0) == 0

    def test_an_unknown_partition_is_an_error_that_names_it(self, make: Callable[..., Topic]) -> None:
        topic = make()
        assert failure(lambda: topic.watch.readable(topic.name, 7, 0)) == (
            f"partition 7 of topic {topic.name} has no leader"
        )
        assert topic.readable(0) is None


class TestTroubleWithKafka:
    def test_freezing_and_dying_are_noticed_and_recovered_from(self, fresh_dir: FreshDir, progress: Progress) -> None:
        with EmbeddedKafka(fresh_dir("kafka-to-freeze"), progress=progress) as kafka:
            topic = Topic([kafka.bootstrap])
            topic.produce(b"1")
            assert topic.lags()[0].lag == 1

            kafka.suspend()
            for _ in range(2):
                assert kafka.bootstrap in failure(topic.lags)
            assert kafka.bootstrap in failure(lambda: topic.readable(0))
            kafka.resume()
            eventually(lambda: answers(topic.lags), "the broker is seen again", timeout=TIMEOUT)
            assert topic.readable(0) == 0

            kafka.restart()
            assert topic.lags()[0].lag == 1, "a restart between two looks is nobody's trouble"

            kafka.kill()
            assert failure(topic.lags) == f"the Kafka broker cannot be reached: {kafka.bootstrap}: connection refused"
            kafka.start()
            eventually(lambda: answers(topic.lags), "the broker is seen again", timeout=TIMEOUT)
            assert topic.lags()[0].lag == 1
            topic.watch.close()


class TestTroubleWithPostgres:
    def test_freezing_and_dying_are_noticed_and_recovered_from(self, fresh_dir: FreshDir, progress: Progress) -> None:
        with EmbeddedPostgres(fresh_dir("postgres-to-freeze"), progress=progress) as postgres:
            watch = DatabaseWatch(postgres.dsn, TIMEOUT)
            watch.look()
            where = f"Postgres at 127.0.0.1:{postgres.port}/ddpm"

            postgres.suspend()
            for _ in range(2):
                assert failure(watch.look) == f"{where} has not answered for 3 s"
            postgres.resume()
            eventually(lambda: answers(watch.look), "the database is seen again", timeout=TIMEOUT)

            postgres.restart(immediate=True)
            watch.look()

            postgres.kill()
            assert failure(watch.look) == f"{where} cannot be reached: Connection refused"
            postgres.start()
            eventually(lambda: answers(watch.look), "the database is seen again", timeout=TIMEOUT)

            with psycopg.connect(postgres.dsn, autocommit=True) as connection:
                connection.execute("ALTER DATABASE ddpm SET default_transaction_read_only = on")
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ddpm-probe'"
                )
            assert failure(watch.look) == f"{where} answers, but takes no rows: it is read-only"

            with psycopg.connect(postgres.dsn, autocommit=True) as connection:
                connection.execute("SET default_transaction_read_only = off")
                connection.execute("ALTER DATABASE ddpm RESET default_transaction_read_only")
            watch.look()
            assert watch.rewritten() is None
            postgres.stop()
            (postgres.data / "standby.signal").touch()
            postgres.start()
            assert failure(watch.look) == f"{where} answers, but takes no rows: it is in recovery"
            with psycopg.connect(postgres.dsn, autocommit=True) as connection:
                connection.execute("SELECT pg_promote()")
            eventually(lambda: answers(watch.look), "the database takes rows again", timeout=TIMEOUT)
            assert watch.rewritten() == "a standby was promoted, or a backup restored (timeline 1 became 2)"
            assert watch.rewritten() is None, "told once"
            watch.close()

    def test_a_key_that_is_gone_is_told(self, postgres: EmbeddedPostgres) -> None:
        name = f'key "{uuid.uuid4().hex[:8]}'
        quoted = sql.Identifier(name)
        table = WatchedTable("public", name, ("a", 'b,"\\c'), ('b,"\\c', "a"))
        columns = sql.SQL("a int, {b} int").format(b=sql.Identifier('b,"\\c'))
        with psycopg.connect(postgres.dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE TABLE {} ({})").format(quoted, columns))
            watch = DatabaseWatch(postgres.dsn, TIMEOUT, [table])
            key = sql.SQL("(a, {})").format(sql.Identifier('b,"\\c'))
            for constraint in ("UNIQUE", "PRIMARY KEY"):
                watch.look()
                assert "has no unique key on exactly" in (watch.trouble(table) or "")
                statement = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {} {}")
                connection.execute(statement.format(quoted, sql.Identifier(name + "_k"), sql.SQL(constraint), key))
                watch.look()
                assert watch.trouble(table) is None
                drop = sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(quoted, sql.Identifier(name + "_k"))
                connection.execute(drop)
            connection.execute(sql.SQL("DROP TABLE {}").format(quoted))
        watch.close()

    def test_a_look_is_one_connection_and_next_to_no_work(self, postgres: EmbeddedPostgres) -> None:
        watch = DatabaseWatch(postgres.dsn, TIMEOUT)
        watch.look()
        begun = time.process_time()
        for _ in range(50):
            watch.look()
        assert (time.process_time() - begun) / 50 < 0.001 * TIMEOUT, "more than 0.1 % of a core at a look every 3 s"
        with psycopg.connect(postgres.dsn) as connection:
            counted = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ddpm-probe'"
            ).fetchone()
        assert counted == (1,)
        watch.close()

    def test_no_connection_left_and_a_refused_password_are_told_apart(self, postgres: EmbeddedPostgres) -> None:
        name = f"few_{uuid.uuid4().hex[:8]}"
        with psycopg.connect(postgres.dsn, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'first-word' CONNECTION LIMIT 0".encode())
        url = postgres.dsn.replace(postgres.dsn.split("@")[0], f"postgresql://{name}:first-word")
        assert "too many connections for role" in failure(DatabaseWatch(url, TIMEOUT).look)
        wrong = failure(DatabaseWatch(url.replace("first-word", "other-word"), TIMEOUT).look)
        assert "password authentication failed" in wrong
        assert "other-word" not in wrong
        with psycopg.connect(postgres.dsn, autocommit=True) as connection:
            connection.execute(f"DROP ROLE {name}".encode())
