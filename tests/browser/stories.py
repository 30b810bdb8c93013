"""Pipelines in every kind of trouble, as the fake API tells them."""

import time

from browser.fake import NASTY, FakeDdpm, Json, ago, content, dead_letters, iso, letter, pipeline, probe, replica

LONG = "the sink has refused every batch since the last deployment: " + 'column "total" does not exist; ' * 40


def degraded(name: str = "returns") -> Json:
    """Its Postgres is away, and the lag grows."""
    reason = "postgres does not answer: connection to 10.0.3.7:5432 refused; records wait, nothing is lost"
    lag = [0] * 70 + [index * 1_250 for index in range(50)]
    rate = [640 + (index % 4) * 22 for index in range(70)] + [0] * 50
    return pipeline(
        name,
        state="degraded",
        reason=reason,
        since=ago(252),
        lag={"records": 61_250, "seconds": 251.0},
        rates={"read": 0.0, "written": 0.0, "dead": 0.0},
        history={"step": 5.0, "lag": lag, "rate": rate, "dead": [0] * 120},
        probes=[
            probe("engine 0", "engine"),
            probe("engine 1", "engine"),
            probe("kafka", "broker"),
            probe("postgres", "sink", "connection to 10.0.3.7:5432 refused", 0.8),
        ],
        scaling={"desired": 2, "minimum": 1, "maximum": 3, "mode": "lag", "reason": "2 kept: the sink is away"},
        replicas=[replica(0), replica(1, restarts=2)],
        processors=[{"kind": "mapping"}, {"kind": "filter"}],
        source={
            "parser": "avro",
            "brokers": ["kafka-1:9092"],
            "topics": ["returns-eu", "returns-us"],
            "consumer_group": "ddpm-returns",
        },
        sinks=[{"kind": "postgres", "name": "sales.returns"}, {"kind": "kafka", "name": "returns-clean"}],
        errors=[
            {"at": ago(4), "message": "postgres: connection to 10.0.3.7:5432 refused", "count": 48},
            {"at": ago(3_100), "message": "parse: unexpected end of JSON input", "count": 1},
        ],
        last_exit={
            "replica": 1,
            "at": ago(5_100),
            "code": None,
            "signal": "SIGKILL",
            "reason": "killed from outside",
            "log": ['level=info msg="Input type kafka is now active"', 'level=warn msg="rebalance"', "killed"],
            "config_hash": "sha256:1f0c9a5b",
        },
    )


def failed(name: str = "invoices") -> Json:
    """Its engine does not start, and ddpm will not try again."""
    return pipeline(
        name,
        state="failed",
        reason="the engine ended with code 1 at once, five times: the mapping is not valid",
        since=ago(5_400),
        restarts=5,
        lag=None,
        partitions=None,
        rates={"read": 0.0, "written": 0.0, "dead": 0.0},
        history={"step": 5.0, "lag": [], "rate": [], "dead": []},
        replicas=[replica(0, state="failed", ready=False, pid=None, restarts=5, reason="ended with code 1")],
        probes=[probe("engine 0", "engine", "no process", None), probe("kafka", "broker")],
        last_exit={
            "replica": 0,
            "at": ago(5_400),
            "code": 1,
            "signal": None,
            "reason": "configuration error",
            "log": [f'level=error msg="{NASTY}"'],
            "config_hash": "sha256:77aa01de",
        },
    )


def recovering(name: str) -> Json:
    return pipeline(
        name,
        state="recovering",
        reason="the engine was killed by signal 9; it is started again",
        next_retry=iso(time.time() + 42),
        since=ago(3),
        replicas=[replica(0, state="recovering", ready=False, pid=None, next_retry=iso(time.time() + 42))],
    )


def resting(name: str, state: str) -> Json:
    still = {"read": 0.0, "written": 0.0, "dead": 0.0}
    return pipeline(
        name,
        state=state,
        wish="pause" if state == "paused" else "stop",
        reason=f"{state} on request",
        rates=still,
        since=ago(86_400 * 3 + 7_300),
        replicas=[],
        probes=[],
    )


def nasty() -> Json:
    """Every text it has tries to become HTML."""
    name = "a?<i>&#;b"
    return pipeline(
        name,
        state="degraded",
        reason=NASTY + LONG,
        config_hash=NASTY,
        source={"parser": NASTY, "brokers": [NASTY], "topics": [NASTY] * 7, "consumer_group": NASTY},
        processors=[{"kind": NASTY}] * 6,
        sinks=[{"kind": NASTY, "name": NASTY}],
        dead_letter={"topic": NASTY},
        config=f"{NASTY}\n</pre><script>document.title='owned'</script>\n",
        errors=[{"at": ago(1), "message": NASTY, "count": 3}],
        probes=[probe(NASTY, "sink", NASTY)],
        replicas=[replica(0, reason=NASTY)],
        scaling={"desired": 1, "minimum": 1, "maximum": 1, "mode": "fixed", "reason": NASTY},
        partitions=[{"topic": NASTY, "partition": 0, "committed": None, "end": 9, "lag": 9, "seconds": 1.0}],
        last_exit={"replica": 0, "at": ago(9), "code": 1, "signal": None, "reason": NASTY, "log": [NASTY] * 3}
        | {"config_hash": NASTY},
    )


def zoo() -> tuple[Json, ...]:
    """Twenty pipelines in all states."""
    states = ("starting", "draining")
    odd = [pipeline(f"shipments-{state}", state=state, reason="a moment, please") for state in states]
    well = [pipeline(f"{name}") for name in ("orders", "customers", "payments")]
    many = [pipeline(f"sensors-{number:02}") for number in range(8)]
    unknown = pipeline("fresh", lag=None, history={"step": 5.0, "lag": [], "rate": [], "dead": []})
    return (
        *well, degraded(), failed(), recovering("refunds"), resting("archive", "paused"), resting("legacy", "stopped"),
        *odd, nasty(), unknown, *many,
    )  # fmt: skip


def letters() -> Json:
    """Dead letters of three kinds."""
    refused = 'invalid input syntax for type integer: "%s"'
    typed = [
        letter(
            100 + number,
            b'{"id": "x%d", "total": 12345678901234567890.10, "tags": [], "lines": [{"sku": "a"}]}' % number,
            stage="sink",
            code="22P02",
            sqlstate="22P02",
            column="id",
            message=refused % f"x{number}",
            pattern=refused % "…",
        )
        for number in range(3)
    ]
    odd = letter(200, b"\xff\x00\x1b[2J", code="invalid_utf8", message="invalid UTF-8 at byte 0: 0xff")
    odd["pattern"] = "invalid UTF-8 at byte N: 0x…"
    return dead_letters(*(letter(number) for number in range(30)), *typed, odd, replayed=12, discarded=3)


def nasty_letters() -> Json:
    """Dead letters of which every text tries to become HTML, or to hide."""
    hidden = NASTY + "\u202e\x1b[2J" + LONG
    bad = letter(1, hidden.encode(), stage=NASTY, code=NASTY, message=hidden, pattern=NASTY + LONG, column=NASTY)
    bad["headers"] = [{"name": NASTY, "value": content(NASTY.encode())}]
    bad["origin"]["topic"] = NASTY
    return dead_letters(bad, topic=NASTY)


def past(ddpm: FakeDdpm) -> None:
    """Some events of the last two hours, and dead letters of two pipelines."""
    ddpm.letters |= {"orders": letters(), "returns": letters(), "a?<i>&#;b": nasty_letters()}
    now = time.time()
    for seconds, name, kind, message, state in (
        (7_512, "orders", "state", "connected to input and output", "running"),
        (5_400, "invoices", "state", "the engine ended with code 1 at once, five times", "failed"),
        (5_100, "returns", "exit", "engine 1 was killed by SIGKILL", None),
        (5_098, "returns", "state", "engine 1 is started again", "recovering"),
        (5_090, "returns", "state", "records flow", "running"),
        (1_800, "returns", "scale", "1 → 2: lag 4,100 is above the target of 1,000 for 60 s", None),
        (252, "returns", "state", "postgres does not answer: connection refused", "degraded"),
        (90, "archive", "control", "pause was asked for", None),
    ):
        ddpm.happen(name, kind, message, state, at=now - seconds)
