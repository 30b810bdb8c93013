"""Records through a pipeline's own processors in a real engine, without Kafka and without Postgres."""

from ddpm.orchestrator.offline.answer import Answer, Cell, Outcome, Reason, Result, read_answer
from ddpm.orchestrator.offline.cases import SUFFIX, Case, CaseFile, read_cases
from ddpm.orchestrator.offline.checking import check, check_if_built
from ddpm.orchestrator.offline.choice import Choice, configured, parser_alone
from ddpm.orchestrator.offline.compare import differences
from ddpm.orchestrator.offline.exact import pretty
from ddpm.orchestrator.offline.trials import MOST_BYTES, PATIENCE_SECONDS, Record, Trials

__all__ = [
    "MOST_BYTES",
    "PATIENCE_SECONDS",
    "SUFFIX",
    "Answer",
    "Case",
    "CaseFile",
    "Cell",
    "Choice",
    "Outcome",
    "Reason",
    "Record",
    "Result",
    "Trials",
    "check",
    "check_if_built",
    "configured",
    "differences",
    "parser_alone",
    "pretty",
    "read_answer",
    "read_cases",
]
