"""Postgres URLs for tests: what they say is known, because they are written from parts, in every spelling there is."""

import json
import random
import string
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ddpm.engine.progress import Silent
from ddpm.engine.toolchain import find_go
from ddpm.store.connection import parts

ENGINE = Path(__file__).parents[2] / "cmd" / "engine"

# What may stand bare in user and password; everything else is written as % and two digits.
BARE = string.ascii_letters + string.digits + "-._~!$&'()*+,;=|^{}<>\"`\\ [äß€"
PRINTABLE = "".join(map(chr, range(32, 127)))
_ODD = PRINTABLE + "äß€\N{NO-BREAK SPACE}😀\t\n"
_HOSTS = ("db", "db.example", "127.0.0.1", "::1", "fe80::1%eth0", "my_host", "/var/run/postgresql", "/tmp/a b")  # noqa: S108
_OPTIONS = {
    "sslmode": ("disable", "allow", "prefer", "require"),
    "sslsni": ("0", "1"),
    "channel_binding": ("disable", "prefer", "require"),
    "target_session_attrs": ("any", "read-write", "primary"),
    "connect_timeout": ("0", "3", "30"),
    "application_name": ("orders", "a b=c", "ä&+%"),
    "options": ("-c timezone=UTC", "-c search_path=a,b -c x.y=1+1", "-c a.b=\\ \\'"),
    "keepalives": ("0", "1"),
    "keepalives_idle": ("5",),
    "keepalives_count": ("3",),
    "gssencmode": ("disable",),
}
_MUTATIONS = (
    "@",
    "/",
    ":",
    "?",
    "#",
    "%",
    "%zz",
    "%00",
    ",",
    "[",
    "]",
    "&",
    "=",
    "?a",
    "&sslcrl=x",
    "&timezone=UTC",
    " ",
)


@dataclass(frozen=True)
class Written:
    """A URL and what it says."""

    url: str
    servers: tuple[tuple[str, int], ...]
    user: str
    password: str
    database: str
    options: dict[str, str]


def dice_of(seed: int) -> random.Random:
    """Draws the same addresses in every run."""
    return random.Random(seed)  # noqa: S311 -- a test that can be repeated


def written(dice: random.Random) -> Written:
    """Draw an address, and one of the ways to write it."""
    servers = tuple(
        (dice.choice(_HOSTS), dice.choice((5432, 1, 65_535, 6432))) for _ in range(dice.choice((1, 1, 2, 3)))
    )
    user, password, database = (_text(dice, least) for least in (1, 0, 1))
    options = {name: dice.choice(values) for name, values in _OPTIONS.items() if dice.random() < 0.2}
    user_info = _spelled(dice, user, BARE) + (":" + _spelled(dice, password, BARE + ":") if password else "")
    query = {**options}
    hosts = ",".join(_authority(dice, host, port) for host, port in servers)
    if dice.random() < 0.2:
        query |= {"host": ",".join(host for host, _ in servers), "port": ",".join(str(port) for _, port in servers)}
        hosts = ""
    if dice.random() < 0.1:
        query |= {"user": user, "password": password, "dbname": database}
        user_info, database_part = "", ""
    else:
        database_part = _spelled(dice, database, BARE + "/:")
    pairs = [f"{name}={quote(value, safe='')}" for name, value in query.items()]
    dice.shuffle(pairs)
    scheme = dice.choice(("postgresql://", "postgres://"))
    url = f"{scheme}{user_info}{'@' if user_info else ''}{hosts}/{database_part}{'?' if pairs else ''}{'&'.join(pairs)}"
    return Written(url, servers, user, password, database, options)


def mutated(dice: random.Random, url: str) -> str:
    """The same URL with a slip of the hand in it."""
    start = url.index("//") + 2
    at = dice.randint(start, len(url))
    cut = dice.choice((0, 0, 1, 3))
    return url[:at] + dice.choice(_MUTATIONS) + url[at + cut :]


def read_by_the_engine(folder: Path, urls: Sequence[str], **more: str) -> list[dict[str, Any]]:
    """What pgx in the engine's own code makes of what the engine is handed for these URLs."""
    asked, answers = folder / "asked", folder / "answers"
    asked.write_text("".join(json.dumps(parts(url)) + "\n" for url in urls), encoding="utf-8")
    go = find_go(Silent())
    ran = subprocess.run(
        [go.path, "test", "./internal/sinks/pgaddress", "-count=1", "-run", "TestPartsFromDdpm"],
        cwd=ENGINE,
        env=go.environment() | {"DDPM_TEST_ADDRESSES": str(asked), "DDPM_TEST_ADDRESSES_READ": str(answers)} | more,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return [json.loads(line) for line in answers.read_text(encoding="utf-8").splitlines()]


def _text(dice: random.Random, least: int) -> str:
    return "".join(dice.choice(_ODD) for _ in range(dice.randint(least, 12)))


def _spelled(dice: random.Random, text: str, bare: str) -> str:
    return "".join(
        char if char in bare and dice.random() < 0.7 else quote(char, safe="").replace("~", "%7E") for char in text
    )


def _authority(dice: random.Random, host: str, port: int) -> str:
    spelled = f"[{quote(host, safe=':')}]" if ":" in host else quote(host, safe="")
    return spelled + (f":{port}" if port != 5432 or dice.random() < 0.5 else dice.choice(("", ":")))
