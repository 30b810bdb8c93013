"""Every pair of these types: which takes all values of which, and for which Postgres writes the table anew."""

from itertools import product

import pytest

from ddpm.store.widening import rewrites, widens

# Each type, and all of the others that are wider.
WIDER = {
    "smallint": {
        "integer", "bigint", "real", "double precision", "numeric", "numeric(5,0)", "numeric(12,2)", "numeric(14,2)",
        "numeric(14,4)",
    },
    "integer": {"bigint", "double precision", "numeric", "numeric(12,2)", "numeric(14,2)", "numeric(14,4)"},
    "bigint": {"numeric"},
    "real": {"double precision"},
    "double precision": set(),
    "numeric": set(),
    "numeric(5,0)": {"numeric", "numeric(12,2)", "numeric(14,2)", "numeric(14,4)"},
    "numeric(12,2)": {"numeric", "numeric(14,2)", "numeric(14,4)"},
    "numeric(14,2)": {"numeric"},
    "numeric(14,4)": {"numeric"},
    "numeric(5,-2)": {"numeric", "numeric(12,2)", "numeric(14,2)", "numeric(14,4)"},
    "character varying(3)": {"character varying(20)", "character varying", "text"},
    "character varying(20)": {"character varying", "text"},
    "character varying": {"text"},
    "text": set(),
    "character(3)": {"character(5)"},
    "character(5)": set(),
    "bpchar": set(),
    "bit(3)": {"bit varying(5)", "bit varying"},
    "bit varying(5)": {"bit varying"},
    "bit varying": set(),
    "timestamp(3) without time zone": {"timestamp(6) without time zone", "timestamp without time zone"},
    "timestamp(6) without time zone": {"timestamp without time zone"},
    "timestamp without time zone": {"timestamp(6) without time zone"},
    "timestamp(0) with time zone": {"timestamp with time zone"},
    "timestamp with time zone": set(),
    "time(0) without time zone": {"time without time zone"},
    "time without time zone": set(),
    "interval day to second(3)": {"interval", "interval(3)"},
    "interval(3)": {"interval"},
    "interval": set(),
    "date": set(),
    "boolean": set(),
    "json": set(),
    "jsonb": set(),
    "uuid": set(),
    "cidr": {"inet"},
    "inet": set(),
    "integer[]": {"bigint[]"},
    "bigint[]": set(),
    "character varying(3)[]": {"text[]"},
    "text[]": set(),
    '"Odd type"': set(),
    "shop.status": set(),
}  # fmt: skip
KEPT_AS_IT_IS = {
    ("numeric(12,2)", "numeric(14,2)"),
    ("numeric(12,2)", "numeric"),
    ("character varying(3)", "text"),
    ("character varying(3)", "character varying(20)"),
    ("bit varying(5)", "bit varying"),
    ("timestamp(3) without time zone", "timestamp without time zone"),
    ("timestamp(0) with time zone", "timestamp with time zone"),
    ("time(0) without time zone", "time without time zone"),
    ("interval(3)", "interval"),
    ("cidr", "inet"),
}
WRITTEN_ANEW = {
    ("integer", "bigint"),
    ("real", "double precision"),
    ("numeric(12,2)", "numeric(14,4)"),
    ("integer", "numeric"),
    ("character(3)", "character(5)"),
    ("bit(3)", "bit varying"),
    ("integer[]", "bigint[]"),
    ("character varying(3)[]", "text[]"),
}


def test_a_type_is_wider_than_those_whose_values_it_takes_unchanged() -> None:
    found = {(before, after): widens(before, after) for before, after in product(WIDER, WIDER)}
    assert {pair for pair, wide in found.items() if wide} == {
        (before, after) for before, wider in WIDER.items() for after in wider
    }


@pytest.mark.parametrize(("before", "after"), sorted(KEPT_AS_IT_IS | WRITTEN_ANEW))
def test_a_widening_is_known_to_write_the_table_anew_or_not(before: str, after: str) -> None:
    assert rewrites(before, after) == ((before, after) in WRITTEN_ANEW)
