"""`ddpm parse --serve`: the page to paste a record into, until Ctrl-C.

A module of its own, because an HTTP server takes long to import and no other use of `ddpm parse` needs it.
"""

import signal
import threading

from ddpm.cli.messages import progress
from ddpm.cli.output import write_line
from ddpm.orchestrator.dryrun import MOST_BYTES, Choice, Record, Trials
from ddpm.orchestrator.signals import signal_handler
from ddpm.server.parsing import About, Question, create
from ddpm.server.serve import listen, serving

_HOST = "127.0.0.1"
# A payload in base64 with what surrounds it.
_MOST_OF_REQUEST = MOST_BYTES // 3 * 4 + 100_000


def serve_page(choice: Choice, port: int, patience: float) -> None:
    """Serve the page on this machine alone until SIGINT or SIGTERM.

    Raises:
        MissingToolError: The port is in use.

    """
    pipeline = choice.pipeline
    table = pipeline.table.table if pipeline.table else None
    about = About(pipeline=pipeline.name, parser=pipeline.source.parser, table=table)
    listener = listen(_HOST, port, hint="name another one with --port; 0 picks a free one")
    with listener, signal_handler(), Trials(choice, progress(), patience=patience) as trials:

        def answer(question: Question) -> str:
            return trials.answer(
                Record(
                    question.payload,
                    topic=question.topic,
                    key=question.key,
                    headers=question.headers,
                    timestamp_ms=question.timestamp_ms,
                )
            )

        stop = threading.Event()
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, lambda _signum, _frame: stop.set())
        with serving(create(about, answer, _MOST_OF_REQUEST), listener, stop) as url:
            write_line(f"{url}/ shows what {pipeline.name} makes of a record; Ctrl-C ends it")
            stop.wait()
