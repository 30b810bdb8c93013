"""Names of tables as a user writes them: `table`, `schema.table`, or quoted as in SQL where a name has a dot in it."""

import re

_QUOTED = r'"(?:[^"]|"")+"'
_PART = rf'(?:{_QUOTED}|[^."][^.]*)'
_TABLE = re.compile(rf"(?:(?P<schema>{_PART})\.)?(?P<table>{_PART})")


def split_table(name: str) -> tuple[str | None, str]:
    """Schema and table of `table` or `schema.table`, each as it is or in double quotes; no schema when none is named.

    Raises ValueError when it is not one of these.
    """
    match = _TABLE.fullmatch(name)
    if match is None:
        msg = (
            f'"{name}" is not the name of a table; write table or schema.table, with a part that has a dot in double '
            """quotes: '"my.schema"."my.table"'"""
        )
        raise ValueError(msg)
    schema = match["schema"]
    return None if schema is None else _bare(schema), _bare(match["table"])


def join_table(schema: str | None, table: str) -> str:
    """The name that `split_table` takes apart again."""
    return ".".join(_written(part) for part in (schema, table) if part)


def _bare(part: str) -> str:
    return part[1:-1].replace('""', '"') if re.fullmatch(_QUOTED, part) else part


def _written(part: str) -> str:
    if "." not in part and not part.startswith('"'):
        return part
    return '"' + part.replace('"', '""') + '"'
