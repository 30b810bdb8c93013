"""COPY of a file by one stream in one transaction: what Postgres itself can take."""

import argparse
from pathlib import Path

import psycopg
from psycopg import sql

BLOCK = 1 << 20


def main() -> None:
    """Write the file and end."""
    arguments = argparse.ArgumentParser(description=__doc__)
    for name in ("dsn", "table", "file"):
        arguments.add_argument(name)
    chosen = arguments.parse_args()
    command = sql.SQL("copy {} from stdin").format(sql.Identifier(chosen.table))
    with (
        Path(chosen.file).open("rb") as file,
        psycopg.connect(chosen.dsn) as connection,
        connection.cursor().copy(command) as copy,
    ):
        while block := file.read(BLOCK):
            copy.write(block)


if __name__ == "__main__":
    main()
