"""Records through a pipeline's own processors in a real engine, without Kafka and without Postgres."""

from ddpm.exact import pretty
from ddpm.orchestrator.dryrun.answer import Answer, Cell, Outcome, Reason, Result, TooDeepError, read_answer, shown
from ddpm.orchestrator.dryrun.cases import SUFFIX, Case, CaseFile, read_cases
from ddpm.orchestrator.dryrun.checking import check
from ddpm.orchestrator.dryrun.choice import Choice, configured, parser_alone
from ddpm.orchestrator.dryrun.compare import differences
from ddpm.orchestrator.dryrun.trials import MOST_BYTES, PATIENCE_SECONDS, Record, Trials

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
    "TooDeepError",
    "Trials",
    "check",
    "configured",
    "differences",
    "parser_alone",
    "pretty",
    "read_answer",
    "read_cases",
    "shown",
]
