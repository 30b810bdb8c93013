"""Records through a pipeline's own processors in a real engine, without Kafka and without Postgres."""

from ddpm.orchestrator.offline.answer import NULL, Answer, Cell, Number, Outcome, Reason, Result, read_answer
from ddpm.orchestrator.offline.choice import Choice, configured, parser_alone
from ddpm.orchestrator.offline.trials import MOST_BYTES, PATIENCE_SECONDS, Record, Trials

__all__ = [
    "MOST_BYTES",
    "NULL",
    "PATIENCE_SECONDS",
    "Answer",
    "Cell",
    "Choice",
    "Number",
    "Outcome",
    "Reason",
    "Record",
    "Result",
    "Trials",
    "configured",
    "parser_alone",
    "read_answer",
]
