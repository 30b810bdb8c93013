from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import psycopg
import pytest

from ddpm.config.names import split_table
from ddpm.config.pgtypes import parse as parse_type
from ddpm.errors import ConfigError, SchemaMismatchError, ServiceError
from ddpm.store.connection import connect, reachable
from ddpm.store.tables import TableSpec, TableState, count, ensure_table, rights, which_table

Role = Callable[..., str]

DOCUMENT = (("timestamp", "timestamptz"), ("data", "jsonb"))
TYPED = (("id", "int"), ("name", "varchar(20)"), ("amount", "numeric(12,2)"), ("at", "timestamptz"), ("tags", "text[]"))


def run(url: str, *statements: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def columns(url: str, table: str) -> list[tuple[object, ...]]:
    return run(
        url,
        "SELECT attname::text, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute "
        f"WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
    )


def statements_in(error: SchemaMismatchError) -> list[str]:
    lines = [line.strip() for line in error.message.splitlines()]
    return lines[lines.index("BEGIN;") : lines.index("COMMIT;") + 1]


def mend(url: str, spec: TableSpec) -> list[str]:
    """Run the statements that the error shows, and check that they do what it says."""
    with pytest.raises(SchemaMismatchError) as caught:
        ensure_table(url, spec)
    statements = statements_in(caught.value)
    run(url, *statements)
    assert not ensure_table(url, spec).created
    return statements


def insert(url: str, spec: TableSpec, values: Sequence[object]) -> None:
    names = ", ".join(f'"{name}"' for name in ("source", "partition", "offset", *(name for name, _ in spec.columns)))
    with psycopg.connect(url) as connection:
        for _ in range(2):
            connection.execute(
                f"INSERT INTO {spec} ({names}) VALUES ({', '.join(['%s'] * len(values))}) "
                'ON CONFLICT (source, "partition", "offset") DO NOTHING'.encode(),
                values,
            )


def test_a_document_table_is_made_with_identity_first(url: str) -> None:
    spec = TableSpec(None, "events", DOCUMENT)
    assert ensure_table(url, spec) == TableState(created=True, schema="public")
    assert columns(url, "events") == [
        ("source", "integer", True),
        ("partition", "integer", True),
        ("offset", "bigint", True),
        ("timestamp", "timestamp with time zone", False),
        ("data", "jsonb", False),
    ]
    insert(url, spec, [1, 0, 0, "2026-01-01", "{}"])
    assert count(url, spec) == 1


def test_a_typed_table_is_made_and_then_left_alone(url: str) -> None:
    run(url, "CREATE SCHEMA warehouse")
    spec = TableSpec("warehouse", "orders", TYPED)
    assert ensure_table(url, spec) == TableState(created=True, schema="warehouse")
    assert ensure_table(url, spec) == TableState(created=False, schema="warehouse")
    spelled = (("id", "int4"), ("name", "character varying(20)"), ("amount", "decimal(12, 2)"))
    same = TableSpec("warehouse", "orders", (*spelled, ("at", "timestamp with time zone"), ("tags", "_text")))
    assert ensure_table(url, same) == TableState(created=False, schema="warehouse")


def test_names_and_types_of_any_kind(url: str) -> None:
    run(
        url,
        'CREATE SCHEMA "Odd schema"',
        """CREATE DOMAIN "Odd schema"."e-mail" AS text NOT NULL CHECK (VALUE <> '')""",
    )
    spec = TableSpec(
        "Odd schema", 'Te"st %s {}', (('co"l %s', '"Odd schema"."e-mail"'), ("select", "interval day to second(3)"))
    )
    assert ensure_table(url, spec).created
    assert not ensure_table(url, spec).created


def test_types_as_a_user_may_write_them_are_those_of_the_server(url: str) -> None:
    run(url, 'CREATE SCHEMA "my.schema"', """CREATE TYPE "OrderStatus" AS ENUM ('open', 'done')""")
    written = {
        "int[3]": "integer[]",
        "int ARRAY[3]": "integer[]",
        "numeric(5,-2)": "numeric(5,-2)",
        '"OrderStatus"': '"OrderStatus"',
        'public."OrderStatus"[]': '"OrderStatus"[]',
        "pg_catalog.jsonb": "jsonb",
        "timestamp(3) with time zone": "timestamp(3) with time zone",
        "timestamptz(3) [] []": "timestamp(3) with time zone[]",
        "interval day to second(3)": "interval day to second(3)",
        "national character varying(3)": "character varying(3)",
        "bit varying(8)": "bit varying(8)",
        "double precision[]": "double precision[]",
        '"char"': '"char"',
    }
    # What is checked without a server takes them, too.
    assert all(parse_type(text) for text in written)
    schema, name = split_table('"my.schema"."my.table"')
    spec = TableSpec(schema, name, tuple((f"c{i}", text) for i, text in enumerate(written)))
    assert ensure_table(url, spec).created
    assert not ensure_table(url, spec).created
    assert [row[1] for row in columns(url, '"my.schema"."my.table"')[3:]] == list(written.values())


def test_an_unknown_type_has_the_nearest_built_in_one_as_a_hint(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ensure_table(url, TableSpec(None, "t", (("at", "datetime"),)))
    assert caught.value.hint == 'correct app.postgres.columns.at; did you mean "timestamptz"?'


def test_several_that_start_at_once_make_one_table(url: str) -> None:
    spec = TableSpec(None, "racy", TYPED)
    with ThreadPoolExecutor(8) as pool:
        states = list(pool.map(lambda _: ensure_table(url, spec), range(8)))
    assert sorted(state.created for state in states) == [False] * 7 + [True]


@pytest.mark.parametrize(
    "definition",
    [
        "id uuid, timestamp timestamptz, data text",
        "id uuid PRIMARY KEY, timestamp timestamp, data text",
        "id uuid PRIMARY KEY DEFAULT gen_random_uuid(), timestamp date DEFAULT now(), data text NOT NULL DEFAULT ''",
    ],
)
def test_the_forerunners_table_is_refused_and_can_be_mended_with_its_rows(url: str, definition: str) -> None:
    run(
        url,
        f"CREATE TABLE processed_data ({definition})",
        "INSERT INTO processed_data SELECT gen_random_uuid(), '2026-01-02 03:04:05', "
        """CASE n % 3 WHEN 0 THEN '{"n": 1}' WHEN 1 THEN 'not JSON' ELSE '"\\u0000"' END """
        "FROM generate_series(1, 300) n",
    )
    before = columns(url, "processed_data")
    spec = TableSpec(None, "processed_data", DOCUMENT)
    with pytest.raises(SchemaMismatchError) as caught:
        ensure_table(url, spec)
    assert "public.processed_data" in caught.value.message
    assert columns(url, "processed_data") == before

    mend(url, spec)
    insert(url, spec, [1, 0, 0, "2026-01-01", "{}"])
    assert count(url, spec) == 301
    assert run(url, 'SELECT count(*), count(DISTINCT "offset") FROM processed_data WHERE source = 0') == [(300, 300)]
    assert run(url, "SELECT data FROM processed_data WHERE jsonb_typeof(data) = 'object' LIMIT 1") == [({"n": 1},)]


@pytest.mark.parametrize(
    "definition",
    [
        "id serial PRIMARY KEY, a text",
        "id bigint PRIMARY KEY, a int",
        "code text PRIMARY KEY, a text NOT NULL",
        'code text NOT NULL, source int, "partition" int, "offset" bigint, a text',
        'source bigint NOT NULL, "partition" smallint, a text, extra text',
        'source int NOT NULL, "partition" int NOT NULL, "offset" bigint NOT NULL, a text,'
        ' PRIMARY KEY (source, "partition", "offset") DEFERRABLE',
        "id int GENERATED ALWAYS AS IDENTITY, a text GENERATED ALWAYS AS ('x') STORED",
    ],
)
def test_other_tables_can_be_mended_while_they_are_empty(url: str, definition: str) -> None:
    run(url, f"CREATE TABLE t ({definition})")
    spec = TableSpec(None, "t", (("a", "text"),))
    mend(url, spec)
    insert(url, spec, [1, 0, 0, "x"])
    insert(url, spec, [1, 0, 1, "y"])
    assert count(url, spec) == 2


def test_numbers_go_on_behind_those_of_a_mended_table(url: str) -> None:
    run(url, "CREATE TABLE t (id bigint PRIMARY KEY, a text)", "INSERT INTO t VALUES (41, 'old')")
    spec = TableSpec(None, "t", (("a", "text"),))
    mend(url, spec)
    insert(url, spec, [1, 0, 0, "new"])
    assert run(url, "SELECT id, a FROM t ORDER BY id") == [(41, "old"), (42, "new")]


def test_columns_and_keys_of_the_user_are_welcome(url: str) -> None:
    run(
        url,
        "CREATE TABLE t (note text, id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY, a text NOT NULL UNIQUE, "
        'source int NOT NULL, "partition" int NOT NULL, "offset" bigint NOT NULL)',
        'CREATE UNIQUE INDEX ON t ("offset", source, "partition") INCLUDE (a)',
    )
    assert ensure_table(url, TableSpec(None, "t", (("a", "text"),))) == TableState(created=False, schema="public")


def test_triggers_on_new_rows_are_a_warning(url: str) -> None:
    spec = TableSpec(None, "t", (("x", "text"),))
    ensure_table(url, spec)
    run(
        url,
        "CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
        "CREATE TRIGGER looks BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION look()",
    )
    assert "has triggers on new rows (looks)" in ensure_table(url, spec).warnings[0]


def test_an_unlogged_table_works_with_a_warning(url: str) -> None:
    spec = TableSpec(None, "t", DOCUMENT)
    ensure_table(url, spec)
    run(url, "ALTER TABLE t SET UNLOGGED")
    assert "UNLOGGED" in ensure_table(url, spec).warnings[0]


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("CREATE VIEW t AS SELECT 1", "a view"),
        ("CREATE MATERIALIZED VIEW t AS SELECT 1", "a materialized view"),
        ("CREATE SEQUENCE t", "a sequence"),
    ],
)
def test_something_else_of_that_name_is_told(url: str, statement: str, kind: str) -> None:
    run(url, statement)
    with pytest.raises(ConfigError, match=f"public.t in .* is {kind}, not a table"):
        ensure_table(url, TableSpec(None, "t", DOCUMENT))


def test_a_table_partitioned_by_time_is_refused_and_one_by_identity_is_not(url: str) -> None:
    identity = 'source int NOT NULL, "partition" int NOT NULL, "offset" bigint NOT NULL'
    rest = "timestamp timestamptz NOT NULL, data jsonb"
    run(
        url,
        f"CREATE TABLE by_time ({identity}, {rest}) PARTITION BY RANGE (timestamp)",
        f"CREATE TABLE by_hour ({identity}, {rest}) PARTITION BY RANGE ((data ->> 'day'))",
        f'CREATE TABLE by_source ({identity}, {rest}, PRIMARY KEY (source, "partition", "offset")) '
        "PARTITION BY LIST (source)",
    )
    for name in ("by_time", "by_hour"):
        with pytest.raises(ConfigError, match=f"public.{name} is partitioned by other columns"):
            ensure_table(url, TableSpec(None, name, DOCUMENT))
    assert not ensure_table(url, TableSpec(None, "by_source", DOCUMENT)).created


@pytest.mark.parametrize(
    "type_",
    ["jsnob", "numeric(5000,1)", "serial", "record", "void", "int; DROP TABLE x", "int) AS x, (SELECT 1", "numeric(12"],
)
def test_an_unknown_type_names_the_column_and_makes_nothing(url: str, type_: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ensure_table(url, TableSpec(None, "t", (("good", "int"), ("bad", type_))))
    assert f'"{type_}"' in caught.value.message
    assert "app.postgres.columns.bad" in str(caught.value)
    assert run(url, "SELECT to_regclass('t')") == [(None,)]


def test_a_missing_schema_is_told(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ensure_table(url, TableSpec("nowhere", "t", DOCUMENT))
    assert "the schema nowhere" in caught.value.message
    assert 'CREATE SCHEMA "nowhere"' in str(caught.value)


def test_a_search_path_without_a_schema_is_told(url: str) -> None:
    run(url, "DROP SCHEMA public")
    with pytest.raises(ConfigError, match="search path"):
        ensure_table(url, TableSpec(None, "t", DOCUMENT))


def test_a_missing_right_to_create_names_the_grant(url: str, role: Role) -> None:
    poor = role()
    with pytest.raises(ServiceError) as caught:
        ensure_table(poor, TableSpec(None, "t", DOCUMENT))
    assert "may not make the table t in the schema public" in caught.value.message
    granted = (caught.value.hint or "").strip()
    assert granted.startswith("GRANT USAGE, CREATE ON SCHEMA")
    run(url, granted)
    assert ensure_table(poor, TableSpec(None, "t", DOCUMENT)).created


def test_missing_rights_to_write_name_all_grants(url: str, role: Role) -> None:
    spec = TableSpec("s", "t", DOCUMENT)
    run(url, "CREATE SCHEMA s")
    ensure_table(url, spec)
    poor = role()
    for check in (ensure_table, rights):
        with pytest.raises(ServiceError) as caught:
            check(poor, spec)
        hint = caught.value.hint or ""
        assert 'GRANT INSERT ON "s"."t"' in hint
        assert 'GRANT SELECT ON "s"."t"' in hint
        assert 'GRANT USAGE ON SCHEMA "s"' in hint
        assert "GRANT TEMPORARY ON DATABASE" in hint
    run(url, *(f"{grant};" for grant in hint.split(";") if grant.strip()))
    rights(poor, spec)
    assert not ensure_table(poor, spec).created


def test_rights_on_the_columns_alone_are_enough(url: str, role: Role) -> None:
    spec = TableSpec(None, "t", DOCUMENT)
    run(url, "CREATE TABLE t (a text)", "DROP TABLE t")
    ensure_table(url, spec)
    names = 'source, "partition", "offset", timestamp, data'
    poor = role(
        f"GRANT INSERT ({names}), SELECT ({names}) ON t TO {{role}}", "GRANT TEMPORARY ON DATABASE {database} TO {role}"
    )
    rights(poor, spec)


def test_row_level_security_is_told(url: str, role: Role) -> None:
    spec = TableSpec(None, "t", DOCUMENT)
    ensure_table(url, spec)
    poor = role("GRANT ALL ON t TO {role}", "GRANT TEMPORARY ON DATABASE {database} TO {role}")
    rights(poor, spec)
    run(url, "ALTER TABLE t ENABLE ROW LEVEL SECURITY")
    with pytest.raises(ServiceError, match="row-level security"):
        rights(poor, spec)


def test_a_read_only_server_is_told(url: str, role: Role) -> None:
    spec = TableSpec(None, "t", DOCUMENT)
    ensure_table(url, spec)
    poor = role("ALTER ROLE {role} SET default_transaction_read_only = on")
    for check in (ensure_table, rights):
        with pytest.raises(ServiceError, match="is read-only"):
            check(poor, spec)


def test_rights_and_count_of_no_table(url: str) -> None:
    for ask in (rights, count):
        with pytest.raises(ServiceError, match="there is no table t "):
            ask(url, TableSpec(None, "t", DOCUMENT))


def test_a_table_is_the_same_one_for_whoever_asks(url: str, role: Role) -> None:
    for name in ("orders", "returns"):
        ensure_table(url, TableSpec(None, name))
    by_another = which_table(role(), "public", "orders")
    assert by_another == which_table(url.replace("127.0.0.1", "localhost"), "public", "orders")
    assert by_another != which_table(url, "public", "returns")


def test_a_held_lock_does_not_keep_ddpm_from_checking(url: str) -> None:
    spec = TableSpec(None, "t", DOCUMENT)
    ensure_table(url, spec)
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        assert not ensure_table(url, spec).created


def test_who_may_not_come_in_is_told_by_kind(url: str) -> None:
    user, _, rest = url.partition("@")
    wrong_password = f"{user}-wrong@{rest}"
    with pytest.raises(ServiceError, match="password authentication failed") as caught:
        reachable(wrong_password)
    assert caught.value.exit_code == 3
    assert "-wrong" not in str(caught.value)
    assert caught.value.hint == "check the user and the password in app.postgres.url"
    path, _, query = rest.partition("?")
    with pytest.raises(ServiceError, match="does not exist") as missing:
        reachable(f"{user}@{path}-x?{query}")
    assert missing.value.exit_code == 3
    name = path.rpartition("/")[2]
    assert missing.value.hint == f'CREATE DATABASE "{name}-x"; or correct the database in app.postgres.url'
    with pytest.raises(ServiceError, match="unrecognized configuration parameter") as unknown:
        reachable(f"{url}&options=-c%20no_such%3D1")
    assert unknown.value.hint == "correct options in app.postgres.url"
    reachable(url)


def test_a_role_that_may_not_even_connect_is_told_the_grant(url: str, role: Role) -> None:
    poor = role("REVOKE CONNECT ON DATABASE {database} FROM PUBLIC")
    name, database = urlsplit(poor).username, urlsplit(poor).path[1:]
    with pytest.raises(ServiceError, match="permission denied for database") as caught:
        reachable(poor)
    assert caught.value.hint == f'GRANT CONNECT ON DATABASE "{database}" TO "{name}";'


@pytest.mark.parametrize(
    ("statement", "hint"),
    [
        ("SELECT FROM own.orders", 'GRANT SELECT, INSERT ON "own"."orders" TO "{role}";'),
        (
            "INSERT INTO own.ddpm_replays VALUES (1)",
            'GRANT SELECT, INSERT, UPDATE, DELETE ON "own"."ddpm_replays" TO "{role}";',
        ),
        ("ALTER TABLE own.orders ADD COLUMN b int", 'ALTER TABLE "own"."orders" OWNER TO "{role}";'),
        ("SELECT FROM other.t", 'GRANT USAGE ON SCHEMA "other" TO "{role}";'),
        ("CREATE SCHEMA x", 'GRANT what is missing to "{role}"'),
    ],
)
def test_a_missing_right_is_told_as_the_statement_that_gives_it(
    url: str, role: Role, statement: str, hint: str
) -> None:
    poor = role("CREATE SCHEMA own", "CREATE TABLE own.orders (a int)", "CREATE TABLE own.ddpm_replays (a int)",
                "CREATE SCHEMA other", "CREATE TABLE other.t ()", "GRANT USAGE ON SCHEMA own TO {role}")  # fmt: skip
    with pytest.raises(ServiceError, match="does not allow this") as caught, connect(poor) as connection:
        connection.execute(statement.encode())
    assert caught.value.hint == hint.format(role=urlsplit(poor).username)
