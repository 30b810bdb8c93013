from ddpm.store.schema import (
    Column,
    FoundColumn,
    FoundTable,
    Key,
    Mismatch,
    compare,
    identity_columns,
    with_identity,
)

DOCUMENT = (Column("timestamp", "timestamp with time zone"), Column("data", "jsonb"))
IDENTITY = tuple(FoundColumn(column.name, column.type, not_null=True) for column in with_identity(()))
KEY = Key("t_pkey", ("source", "partition", "offset"), primary=True)


def table(*columns: FoundColumn, keys: tuple[Key, ...] = (KEY,), server_version: int = 180_000) -> FoundTable:
    return FoundTable("public", "t", columns, keys, server_version)


def fits(*columns: FoundColumn, keys: tuple[Key, ...] = (KEY,)) -> bool:
    return compare(table(*IDENTITY, *columns, keys=keys), (Column("a", "text"),)) is None


def mismatch(*columns: FoundColumn, keys: tuple[Key, ...] = (KEY,), wanted: tuple[Column, ...] = ()) -> Mismatch:
    found = compare(table(*columns, keys=keys), wanted)
    assert found is not None
    return found


def line(found: Mismatch, column: str) -> str:
    return next(one for one in found.lines if column in one.split()[:2])


TEXT = FoundColumn("a", "text")


def test_a_table_with_the_wanted_columns_fits() -> None:
    assert fits(TEXT)


def test_columns_of_the_user_that_a_row_can_do_without_are_welcome() -> None:
    assert fits(TEXT, FoundColumn("note", "text"), FoundColumn("id", "uuid", not_null=True, has_default=True))


def test_a_column_of_the_user_that_must_be_given_does_not_fit() -> None:
    assert not fits(TEXT, FoundColumn("note", "text", not_null=True))


def test_the_user_may_forbid_nulls_in_the_pipelines_columns() -> None:
    assert fits(FoundColumn("a", "text", not_null=True))


def test_a_missing_column_or_another_type_does_not_fit() -> None:
    assert not fits()
    assert not fits(FoundColumn("a", "character varying(10)"))


def test_a_generated_column_cannot_be_written() -> None:
    assert not fits(FoundColumn("a", "text", has_default=True, generated="expression"))


def test_the_key_may_be_unique_instead_of_primary_and_in_any_order() -> None:
    assert fits(TEXT, keys=(Key("u", ("offset", "partition", "source"), primary=False),))


def test_a_key_that_on_conflict_cannot_use_is_none() -> None:
    assert not fits(TEXT, keys=())
    assert not fits(TEXT, keys=(Key("u", ("source", "partition", "offset"), primary=False, complete=False),))
    assert not fits(TEXT, keys=(Key("u", ("source", "partition", "offset"), primary=True, deferrable=True),))
    assert not fits(TEXT, keys=(Key("u", ("source", "partition", "offset", "a"), primary=True),))


def test_a_deferrable_key_gives_way_even_beside_a_good_one() -> None:
    deferrable = Key("late", ("source", "partition", "offset"), primary=False, deferrable=True)
    found = mismatch(*IDENTITY, keys=(KEY, deferrable))
    assert found.statements == ('ALTER TABLE "public"."t" DROP CONSTRAINT "late";',)


def test_identity_columns_must_not_be_nullable() -> None:
    found = mismatch(*IDENTITY[:2], FoundColumn("offset", "bigint"))
    assert found.statements == ('ALTER TABLE "public"."t" ALTER COLUMN "offset" SET NOT NULL;',)


def test_the_difference_shows_both_sides_and_marks_what_differs() -> None:
    found = mismatch(*IDENTITY, FoundColumn("data", "text"), FoundColumn("note", "text"), wanted=DOCUMENT)
    assert line(found, "data").split("  ") == ["!", "data", *line(found, "data").split("  ")[2:]]
    assert "jsonb" in line(found, "data")
    assert line(found, "data").endswith("text")
    assert line(found, "timestamp").endswith(" -")
    assert not line(found, "note").startswith("!")
    assert not line(found, "source").startswith("!")


def test_the_error_says_that_nothing_was_changed_and_how_to_go_on() -> None:
    error = mismatch(*IDENTITY, wanted=DOCUMENT).error()
    assert "the table public.t exists" in error.message
    assert "nothing was changed" in error.message
    assert "BEGIN;" in error.message
    assert 'ADD COLUMN "data" jsonb' in error.message
    assert "app.postgres.table" in str(error)
    assert error.exit_code == 3


def test_a_primary_key_of_the_user_stays() -> None:
    own = Key("t_pkey", ("id",), primary=True)
    found = mismatch(FoundColumn("id", "uuid", not_null=True), keys=(own,))
    assert 'ALTER COLUMN "id" SET DEFAULT gen_random_uuid();' in found.statements[0]
    assert found.statements[-1] == 'ALTER TABLE "public"."t" ADD UNIQUE ("source", "partition", "offset");'


def test_a_primary_key_that_cannot_fill_itself_gives_way() -> None:
    own = Key("own key", ("a", "b"), primary=True)
    columns = (FoundColumn("a", "text", not_null=True), FoundColumn("b", "text", not_null=True))
    found = mismatch(*IDENTITY, *columns, keys=(own,))
    assert found.statements == (
        'ALTER TABLE "public"."t" DROP CONSTRAINT "own key";',
        'ALTER TABLE "public"."t" ALTER COLUMN "a" DROP NOT NULL;',
        'ALTER TABLE "public"."t" ALTER COLUMN "b" DROP NOT NULL;',
        'ALTER TABLE "public"."t" ADD PRIMARY KEY ("source", "partition", "offset");',
    )


def test_text_becomes_json_by_its_meaning_only_where_postgres_can_tell() -> None:
    old = compare(table(*IDENTITY, FoundColumn("data", "text"), server_version=150_000), (Column("data", "jsonb"),))
    new = compare(table(*IDENTITY, FoundColumn("data", "text"), server_version=160_000), (Column("data", "jsonb"),))
    assert old is not None
    assert old.statements == ('ALTER TABLE "public"."t" ALTER COLUMN "data" TYPE jsonb USING "data"::jsonb;',)
    assert new is not None
    assert "IS JSON" in new.statements[0]


def test_names_are_quoted() -> None:
    found = compare(FoundTable('we"ird', "T", IDENTITY, (KEY,)), (Column('a"b', "text"),))
    assert found is not None
    assert found.statements == ('ALTER TABLE "we""ird"."T" ADD COLUMN "a""b" text;',)


INDEXED = identity_columns(indexed=True)


def test_rows_of_one_record_need_the_index_in_the_key() -> None:
    columns = tuple(FoundColumn(column.name, column.type, not_null=True) for column in with_identity((), INDEXED))
    key = Key("t_pkey", INDEXED, primary=True)
    assert compare(table(*columns, keys=(key,)), (), INDEXED) is None
    assert compare(table(*columns, keys=(KEY,)), (), INDEXED) is not None
    assert compare(table(*columns, keys=(key, KEY)), (), INDEXED) is not None, "KEY lets a record have one row only"


def test_a_table_of_single_rows_is_mended_for_many() -> None:
    found = compare(table(*IDENTITY, keys=(KEY,)), (), INDEXED)
    assert found is not None
    assert list(found.statements) == [
        'ALTER TABLE "public"."t" DROP CONSTRAINT "t_pkey";',
        'ALTER TABLE "public"."t" ADD COLUMN "index" integer NOT NULL DEFAULT 0;',
        'ALTER TABLE "public"."t" ALTER COLUMN "index" DROP DEFAULT;',
        'ALTER TABLE "public"."t" ADD PRIMARY KEY ("source", "partition", "offset", "index");',
    ]


def test_the_key_of_a_partitioned_table_has_what_it_is_partitioned_by() -> None:
    wanted = (Column("at", "timestamp with time zone", not_null=True),)
    found = table(*IDENTITY, FoundColumn("at", "timestamp with time zone", not_null=True), keys=(KEY,))
    assert compare(found, wanted) is None
    mismatched = compare(found, wanted, partitioned_by=("at",))
    assert mismatched is not None
    assert mismatched.statements[-1] == (
        'ALTER TABLE "public"."t" ADD PRIMARY KEY ("source", "partition", "offset", "at");'
    )
    wide = Key("t_pkey", ("source", "partition", "offset", "at"), primary=True)
    assert compare(table(*found.columns, keys=(wide,)), wanted, partitioned_by=("at",)) is None
