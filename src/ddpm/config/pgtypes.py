"""The types of columns as Postgres writes them: what is a type at all, and which built-in one a misspelt name means.

Knows no server: the name of an extension's or a user's own type is taken as it is, and checked when the table is made.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_TOKEN = re.compile(
    r'\s*(?:(?P<quoted>"(?:[^"\0]|"")+")|(?P<word>[^\W\d][\w$]*)|(?P<number>[-+]?\d+)|(?P<sign>[.,()\[\]]))'
)
_MOST_PARTS = 3

# The names that a user may write for built-in types; what they are called where that differs.
_CANONICAL = {
    "int2": "smallint",
    "int": "integer",
    "int4": "integer",
    "int8": "bigint",
    "decimal": "numeric",
    "dec": "numeric",
    "float4": "real",
    "float8": "double precision",
    "float": "double precision",
    "bool": "boolean",
    "char": "character",
    "nchar": "character",
    "varchar": "character varying",
    "varbit": "bit varying",
    "timestamptz": "timestamp with time zone",
    "timetz": "time with time zone",
}


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_COMMON = _words("""
    smallint integer bigint numeric decimal real float double boolean text varchar character uuid json jsonb bytea date
    time timetz timestamp timestamptz interval inet cidr macaddr money tsvector tsquery int4range int8range numrange
    tsrange tstzrange daterange int2 int4 int8 float4 float8 bool varbit
""")
_RARE = _words("""
    int dec char nchar bpchar name bit xml jsonpath macaddr8 point line lseg box path polygon circle int4multirange
    int8multirange nummultirange tsmultirange tstzmultirange datemultirange oid xid xid8 cid tid pg_lsn pg_snapshot
    txid_snapshot refcursor regclass regcollation regconfig regdictionary regnamespace regoper regoperator regproc
    regprocedure regrole regtype int2vector oidvector
""")
_BUILT_IN = frozenset([*_COMMON, *_RARE])
_EXTENSIONS = frozenset(
    _words("""
    citext hstore ltree lquery ltxtquery cube seg geometry geography box2d box3d raster vector halfvec sparsevec
    query_int isbn isbn13 issn ean13 upc int1 int16 uint1 uint2 uint4 uint8 uint16
""")
)
_WITH_MODIFIER = frozenset(
    [
        *("numeric", "character", "character varying", "bit", "bit varying", "bpchar", "interval"),
        *("double precision", "time", "timestamp", "time with time zone", "timestamp with time zone"),
    ]
)
_SERIAL = {"smallserial": "smallint", "serial": "integer", "bigserial": "bigint"}
_FOREIGN = {
    "string": "text",
    "str": "text",
    "clob": "text",
    "nvarchar": "varchar",
    "datetime": "timestamptz",
    "long": "bigint",
    "int64": "bigint",
    "int32": "integer",
    "float64": "double precision",
    "number": "numeric",
    "tinyint": "smallint",
    "blob": "bytea",
    "binary": "bytea",
    "object": "jsonb",
    "map": "jsonb",
}
# What a column definition has behind its type.
_CONSTRAINTS = _words("not null primary default unique references check collate generated constraint")
_FIELDS = _words("year month day hour minute second to")


@dataclass(frozen=True, slots=True)
class PgType:
    """A type: its name in words as Postgres spells built-in ones, and whether it is an array.

    `known` reports whether the name is that of a built-in type; of another, nothing can be said without a server.
    """

    name: str
    known: bool
    array: bool


def parse(text: str) -> PgType:
    """Read the text of a type.

    Raises ValueError when Postgres could not take it for a type, or when it can only be a misspelt built-in one.
    """
    reader = _Reader(text)
    parts = reader.name()
    first, quoted = parts[0]
    single = len(parts) == 1 and not quoted
    words = reader.words(first) if single else ""
    modifier = reader.modifier()
    if single and first in ("time", "timestamp", "interval"):
        words = " ".join(filter(None, [words, reader.words(first)]))
        modifier = reader.modifier() or modifier
    array = reader.array()
    reader.end()
    name = f"{first} {words}".strip() if single else ".".join(word for word, _ in parts)
    if parts[0] == ("pg_catalog", quoted) and len(parts) > 1:
        name, single = parts[1][0], True
    elif quoted and len(parts) == 1 and first != "char":
        # Quotes change nothing about the name of a built-in type; "integer" and other long names are none.
        single = first in _BUILT_IN and first not in _CANONICAL
    if single and not quoted:
        _check_name(text, first)
    name = _canonical(name) if single else name
    known = single and name.split(" ", 1)[0] in _BUILT_IN | {"national", "bit", "double"}
    if known and modifier and name not in _WITH_MODIFIER:
        msg = f'the type "{name}" has nothing in parentheses; write {name}, or varchar(n) for text of n characters'
        raise ValueError(msg)
    return PgType(name, known, array)


def near(name: str) -> str | None:
    """`did you mean "varchar"?` when an unknown name is close to a built-in one, or is what others call it."""
    word = re.split(r"[\s(\[]", name.strip().lower(), maxsplit=1)[0]
    meant = _FOREIGN.get(word) or _misspelt(word)
    return f'did you mean "{meant}"?' if meant else None


def _check_name(text: str, first: str) -> None:
    if first in _SERIAL:
        plain = _SERIAL[first]
        msg = f'"{first}" is {plain} with a default, and ddpm gives each column its value; write {plain}'
        raise ValueError(msg)
    meant = _misspelt(first)
    if meant is not None:
        msg = (
            f'"{text}" is not the name of a Postgres type; did you mean "{meant}"? '
            f"A type of your own with this name is written with its schema, public.{first}, or in quotes: '\"{first}\"'"
        )
        raise ValueError(msg)


def _canonical(name: str) -> str:
    words = name.split()
    if words[0] in ("national", "char", "nchar", "character", "varchar"):
        return "character varying" if "varying" in words or words[0] == "varchar" else "character"
    if words[0] in ("time", "timestamp"):
        return f"{words[0]} with time zone" if "with" in words else words[0]
    if words[0] == "interval":
        return "interval"
    return _CANONICAL.get(name, name)


def _misspelt(word: str) -> str | None:
    """The built-in type of which a word is one slip away; none for what may as well be another word."""
    if word in _BUILT_IN or word in _EXTENSIONS or word in ("national", "bit", "double") or len(word) < 4:  # noqa: PLR2004
        return None
    return next((name for name in _COMMON if name[0] == word[0] and len(name) > 3 and _one_slip(word, name)), None)  # noqa: PLR2004


def _one_slip(one: str, other: str) -> bool:
    """Whether one letter is missing, too many, wrong, or swapped with its neighbour."""
    if abs(len(one) - len(other)) > 1:
        return False
    at = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    a, b = one[at:], other[at:]
    return a[1:] == b or a == b[1:] or a[1:] == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:])


class _Reader:
    """Reads a type from left to right, by the grammar of Postgres' type names."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._at = 0

    def name(self) -> list[tuple[str, bool]]:
        """The parts of a name, each with whether it was quoted."""
        parts = [self._identifier()]
        while self._takes("."):
            parts.append(self._identifier())
        if len(parts) > _MOST_PARTS:
            self._fail()
        return parts

    def words(self, first: str) -> str:
        """The words that belong to the names of some built-in types."""
        followers: dict[str, Sequence[str]] = {
            "double": ("precision",),
            "character": ("varying",),
            "char": ("varying",),
            "nchar": ("varying",),
            "bit": ("varying",),
            "national": ("character", "char", "varying"),
            "time": ("with", "without", "time", "zone"),
            "timestamp": ("with", "without", "time", "zone"),
            "interval": _FIELDS,
        }
        found = []
        while self._kind() == "word" and self._value().lower() in followers.get(first, ()):
            found.append(self._value().lower())
            self._at += 1
        if (first == "double" and found != ["precision"]) or (first == "national" and not found):
            self._fail()
        zoned = found and first in ("time", "timestamp")
        if zoned and found not in (["with", "time", "zone"], ["without", "time", "zone"]):
            self._fail()
        return " ".join(found)

    def modifier(self) -> bool:
        """Whether something stands in parentheses."""
        if not self._takes("("):
            return False
        while True:
            if self._kind() not in ("word", "number", "quoted"):
                self._unclosed()
            self._at += 1
            if self._takes(")"):
                return True
            if not self._takes(","):
                self._unclosed()

    def array(self) -> bool:
        """Whether brackets, or the word ARRAY, make it an array."""
        word = self._kind() == "word" and self._value().lower() == "array"
        if word:
            self._at += 1
        found = word
        while self._takes("["):
            if self._kind() == "number":
                self._at += 1
            if not self._takes("]"):
                self._fail()
            found = True
        return found

    def end(self) -> None:
        """Fail if there is more."""
        if self._kind() is None:
            return
        if self._kind() == "word" and self._value().lower() in _CONSTRAINTS:
            type_ = self._text[: self._tokens[self._at][2]].strip()
            msg = f'"{self._text}" is more than a type: a column holds a type only; write {type_}'
            raise ValueError(msg)
        self._fail()

    def _identifier(self) -> tuple[str, bool]:
        kind, value = self._kind(), self._value()
        if kind not in ("word", "quoted"):
            self._fail()
        self._at += 1
        return (value[1:-1].replace('""', '"'), True) if kind == "quoted" else (value.lower(), False)

    def _kind(self) -> str | None:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else None

    def _value(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _takes(self, sign: str) -> bool:
        found = self._kind() == "sign" and self._value() == sign
        self._at += found
        return found

    def _unclosed(self) -> None:
        if self._kind() is None:
            msg = f'"{self._text}" has no closing parenthesis; between {{ }} a comma ends a value: quote the type'
            raise ValueError(msg)
        self._fail()

    def _fail(self) -> None:
        msg = f'"{self._text}" is not the name of a Postgres type; write for example bigint, numeric(12,2), text[]'
        raise ValueError(msg)


def _tokens(text: str) -> list[tuple[str, str, int]]:
    found, at = [], 0
    stripped = text.rstrip()
    while at < len(stripped):
        match = _TOKEN.match(stripped, at)
        if match is None or match.lastgroup is None:
            msg = f'"{text}" is not the name of a Postgres type; write for example bigint, numeric(12,2), text[]'
            raise ValueError(msg)
        found.append((match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
        at = match.end()
    return found
