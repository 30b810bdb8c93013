"""What a Postgres URL says, and which ones are refused."""

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo

from ddpm.config.address import (
    NOT_TAKEN,
    AddressError,
    masked_url,
    parse_address,
    url_from_keywords,
    url_passwords,
    web_fault,
)
from harness.addresses import PRINTABLE, dice_of, mutated, written

BASE = "postgresql://u:s3cret@db/x"


def test_whatever_is_written_is_read() -> None:
    dice = dice_of(4)
    for _ in range(2_000):
        each = written(dice)
        address = parse_address(each.url)
        assert address.servers == each.servers, each.url
        assert (address.user, address.password or "", address.database) == (each.user, each.password, each.database)
        assert address.options == each.options
        masked = masked_url(each.url)
        assert "***" in masked or not each.password
        if len(each.password) > 3 and each.password not in each.url.replace(url_passwords(each.url)[0], ""):
            assert each.password not in masked


def test_what_is_refused_is_refused_with_a_reason_and_never_with_a_password() -> None:
    dice = dice_of(5)
    refused = 0
    for _ in range(2_000):
        password = "hunter2" + "".join(dice.choice("abc%/@:#?") for _ in range(dice.randint(0, 4)))
        url = mutated(dice, f"postgresql://user:{password}@db:5432/shop?sslmode=disable")
        try:
            parse_address(url)
        except AddressError as error:
            refused += 1
            assert "hunter2" not in str(error)
            assert len(str(error)) > 20
    assert 500 < refused < 2_000


@pytest.mark.parametrize(
    ("url", "place", "user", "password", "database"),
    [
        ("postgresql://db", "db:5432/", None, None, None),
        ("postgres://u@db:1", "db:1/", "u", None, None),
        ("postgresql://u:@db/", "db:5432/", "u", None, None),
        ("postgresql://u:p:q@db/x", "db:5432/x", "u", "p:q", "x"),
        ("postgresql://u:p|ss@db/x", "db:5432/x", "u", "p|ss", "x"),
        ("postgresql://u:p%40s%25s+s@db/a%2Fb", "db:5432/a/b", "u", "p@s%s+s", "a/b"),
        ("postgresql://db/a/b", "db:5432/a/b", None, None, "a/b"),
        ("postgresql://h1:1,h2/x", "h1:1,h2:5432/x", None, None, "x"),
        ("postgresql://h1,h2:2/x", "h1:5432,h2:2/x", None, None, "x"),
        ("postgresql://h1,h2/x?port=7", "h1:7,h2:7/x", None, None, "x"),
        ("postgresql://[::1]:7,[fe80::1%25eth0]/x", "[::1]:7,[fe80::1%eth0]:5432/x", None, None, "x"),
        ("postgresql:///x?host=/run/pg", "/run/pg:5432/x", None, None, "x"),
        ("postgresql://%2Frun%2Fpg:7/x", "/run/pg:7/x", None, None, "x"),
        ("postgresql://u@db/x?host=h2&user=v&password=pwd&dbname=y", "h2:5432/y", "v", "pwd", "y"),
    ],
)  # fmt: skip
def test_parts(url: str, place: str, user: str | None, password: str | None, database: str | None) -> None:
    address = parse_address(url)
    assert (address.place, address.user, address.password, address.database) == (place, user, password, database)
    assert not password or password not in repr(address)


def test_every_printable_character_can_stand_in_every_part() -> None:
    spelled = "".join(f"%{ord(character):02X}" for character in PRINTABLE)
    address = parse_address(
        f"postgresql://{spelled}:{spelled}@db/{spelled}?options={spelled}&application_name={spelled}&host=/{spelled}".replace(
            "%2C", ""
        )
    )
    wanted = PRINTABLE.replace(",", "")
    assert (address.user, address.password, address.database) == (wanted, wanted, wanted)
    assert address.options == {"options": wanted, "application_name": wanted}
    assert address.servers == ((f"/{wanted}", 5432),)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://u@db/x", "not a Postgres URL; write postgresql://"),
        ("postgresql://u:pw@127.0.0.1:54x2/x", "the port 54x2 is not a number"),
        ("postgresql://127.0.0.1:54x2/x", "the port 54x2 is not a number"),
        ("postgresql://u:pw@db:5432,h2:2a2/x", "the port 2a2 is not a number"),
        ("postgresql://u@db:hunter2/x", "the port is not a number"),
        ("postgresql://u@db:0/x", "the port 0 is not between 1 and 65535"),
        ("postgresql://u@db:65536/x", "the port 65536 is not between"),
        ("postgresql://u@db:٣/x", "the port is not a number"),
        ("postgresql://u@/x", "no host is named; write"),
        ("postgresql:///x", "postgresql://user@/database?host=/var/run/postgresql"),
        ("postgresql://h1,,h2/x", "no host is named"),
        ("postgresql://h1,h2/x?port=1,2,3", "2 hosts and 3 ports do not fit"),
        ("postgresql://dä/x", "the host is neither"),
        ("postgresql://a b/x", "the host is neither"),
        ("postgresql://a..b/x", "the host is neither"),
        ("postgresql://u:50%off@db/x", "a % in the password is not followed by two digits; write % itself as %25"),
        ("postgresql://u:a%00@db/x", "the password cannot hold the character NUL"),
        ("postgresql://u:a%ff@db/x", "the password is not UTF-8"),
        ("postgresql://u:p@ss@db/x", "the parts of this URL cannot be told apart"),
        ("postgresql://u:p/ss@db/x", "the parts of this URL cannot be told apart"),
        ("postgresql://u:p?s=s@db/x", "the parts of this URL cannot be told apart"),
        ("postgresql://u:p#ss@db/x", "the parts of this URL cannot be told apart"),
        (f"{BASE}?sslmode", "the parts of this URL cannot be told apart"),
        (
            f"{BASE}?timezone=UTC",
            "timezone is not supported; a setting of the server is written options=-c%20timezone%3D",
        ),
        (f"{BASE}?sslmod=disable", 'sslmod is not supported; did you mean "sslmode"?'),
        (f"{BASE}?sslcrl=/x", "sslcrl is not supported: the engine's client reads no revocation lists; name"),
        (f"{BASE}?require_auth=scram-sha-256", "require_auth is not supported: the engine's client cannot choose"),
        (f"{BASE}?ssl_min_protocol_version=TLSv1", "ssl_min_protocol_version takes TLSv1.2 or TLSv1.3"),
        (
            f"{BASE}?ssl_min_protocol_version=TLSv1.3&ssl_max_protocol_version=TLSv1.2",
            "ssl_min_protocol_version is later than ssl_max_protocol_version",
        ),
        (
            f"{BASE}?sslmode=verify-full&sslrootcert=system&sslsni=0",
            "sslsni=0 does not go with sslmode=verify-full; omit it",
        ),
        ("host=db user=u password=s3cret krbsrvname=x", "krbsrvname is not supported: the engine does not log in by"),
        ("host=db user=u password='s3cret dbname=x", "the keywords and values of this address cannot be told apart"),
        ("host=db user=u s3cret", "the keywords and values of this address cannot be told apart"),
        ("host=db user=u user=v", "user is given twice"),
        ("host=a,b port=1,2,3", "2 hosts and 3 ports do not fit"),
        ("port=5432 dbname=x", "no host is named"),
        (f"{BASE}?service=x", "service is not supported: write what the service file says"),
        (f"{BASE}?passfile=/x", "passfile is not supported: ddpm reads no password files"),
        (f"{BASE}?hostaddr=1.2.3.4", "hostaddr is not supported: write the address as the host"),
        (f"{BASE}?sslmode=perhaps", "sslmode takes disable, allow, prefer, require, verify-ca or verify-full"),
        (f"{BASE}?sslmode=disable&sslmode=require", "sslmode is given twice"),
        (f"{BASE}?ssl=true&sslmode=require", "sslmode is given twice"),
        (f"{BASE}?connect_timeout=soon", "connect_timeout takes a whole number from 0 to 86400"),
        (f"{BASE}?keepalives=yes", "keepalives takes 0 or 1"),
        (f"{BASE}?sslmode=verify-full", "sslmode=verify-full needs sslrootcert="),
        (f"{BASE}?sslrootcert=/ca", "sslrootcert needs sslmode=verify-full, verify-ca or require"),
        (f"{BASE}?sslrootcert=ca&sslmode=verify-ca", "sslrootcert takes the absolute path of a file"),
        (f"{BASE}?sslrootcert=system&sslmode=verify-ca", "sslrootcert=system needs sslmode=verify-full"),
        (f"{BASE}?sslcert=/c", "sslcert and sslkey need each other"),
        (f"{BASE}?sslnegotiation=direct", "sslnegotiation=direct needs sslmode=require"),
        (f"{BASE}?target_session_attrs=standby", "ddpm writes, which no standby allows"),
        (f"{BASE}?gssencmode=require", "gssencmode takes disable only"),
        (f"{BASE}?client_encoding=latin1", "client_encoding takes UTF8 only"),
    ],
)
def test_what_is_refused(url: str, message: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_address(url)
    assert message in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_every_keyword_of_libpq_is_taken_or_refused_with_its_way_out() -> None:
    for keyword in {each.keyword.decode() for each in Conninfo.get_defaults()} - {"host"}:
        try:
            parse_address(f"{BASE}?{keyword}=")
        except AddressError as error:
            assert str(error) == f"{keyword} is not supported: {NOT_TAKEN[keyword]}"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        (
            "host=a,b port=1,2 user=u dbname=x target_session_attrs=read-write",
            "postgresql:///?host=a,b&port=1,2&user=u&dbname=x&target_session_attrs=read-write",
        ),
        ("host = db  user\t=\nu", "postgresql:///?host=db&user=u"),
        (r"host=db password='it\'s a \\ b' user=a\ b", "postgresql:///?host=db&password=it%27s%20a%20%5C%20b&user=a%20b"),
        ("host=/run/pg application_name=''", "postgresql:///?host=/run/pg&application_name="),
        ("postgresql://u@db/x?host=a", None),
        ("embedded", None),
    ],
)  # fmt: skip
def test_keywords_and_values_become_a_url(text: str, url: str | None) -> None:
    assert url_from_keywords(text) == url
    if url is not None:
        assert parse_address(text) == parse_address(url)


def test_keywords_and_values_say_what_they_say_to_libpq() -> None:
    dice = dice_of(12)
    for _ in range(500):
        each = written(dice)
        given = {
            "host": ",".join(host for host, _ in each.servers),
            "port": ",".join(str(port) for _, port in each.servers),
            "user": each.user,
            "password": each.password,
            "dbname": each.database,
            **each.options,
        }
        text = make_conninfo("", **given)
        address = parse_address(text)
        found = conninfo_to_dict(text)
        assert (address.user, address.password or "", address.database) == (
            found["user"],
            found["password"],
            found["dbname"],
        )
        assert address.servers == each.servers
        assert address.options == each.options
        shown = masked_url(url_from_keywords(text) or "")
        assert len(each.password) < 4 or each.password not in shown


def test_of_several_servers_the_one_that_takes_rows_is_wanted() -> None:
    assert parse_address("postgresql://a,b/x").parts("u")["target_session_attrs"] == "read-write"
    assert parse_address("postgresql://a,b/x?target_session_attrs=any").parts("u")["target_session_attrs"] == "any"
    assert "target_session_attrs" not in parse_address("postgresql://a/x").parts("u")


def test_options_that_mean_nothing_are_left_out() -> None:
    assert parse_address(f"{BASE}?client_encoding=utf-8&options=&sslmode=").options == {}
    assert parse_address(f"{BASE}?ssl=true").options == {"sslmode": "require"}


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("http://localhost:9091", None),
        ("https://u:p%40ss@[::1]:9091/x?y=z", None),
        ("http://localhost:90x1", "the port 90x1 is not a number"),
        ("http://u:hunter2@localhost:hunter2/", "the port is not a number"),
        ("http://localhost:0", "the port 0 is not between 1 and 65535"),
        ("http://localhost:70000", "the port 70000 is not between 1 and 65535"),
        ("http://u:hunter2/x@localhost", "the parts of this URL cannot be told apart"),
        ("ftp://localhost", "it is not a URL of http or https"),
        ("localhost:9091", "it is not a URL of http or https"),
        ("http://", "it is not a URL of http or https"),
        ("http://a b", "the host is neither the name of a machine"),
        ("http://h1,h2", "the host is neither the name of a machine"),
    ],
)
def test_addresses_of_servers(url: str, fault: str | None) -> None:
    found = web_fault(url)
    assert found is None if fault is None else (found or "").startswith(fault)
    assert "hunter2" not in (found or "")
