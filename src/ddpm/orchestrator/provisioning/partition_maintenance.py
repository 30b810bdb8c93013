"""Keeps the monthly partitions of a pipeline's table, and says what was done or why it could not be."""

from collections.abc import Callable

import structlog

from ddpm.config.model import MonthlyPartitions
from ddpm.errors import DdpmError
from ddpm.store.months import Span
from ddpm.store.partitions import Dropped, Made, maintain
from ddpm.store.tables import TableSpec
from ddpm.words import counted

MONTHS_SECONDS = 30.0


class PartitionMaintenance:
    """The months of one table.

    Without a month's partition its rows stand in the default one, so that nothing here may stop a pipeline.

    Args:
        pipeline: Whose table it is.
        url: The database.
        spec: The table.
        wanted: Which months there should be.
        report: Called with a line for those who follow the events.

    """

    def __init__(
        self,
        pipeline: str,
        url: str,
        spec: TableSpec,
        wanted: MonthlyPartitions,
        report: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._url = url
        self._spec = spec
        self._span = Span(wanted.months_past, wanted.ahead, wanted.retention)
        self._report = report
        self._problem: str | None = None
        self._log = structlog.get_logger().bind(pipeline=pipeline, table=str(spec))

    def look(self) -> None:
        """Make and drop what is due; a problem is reported when it is new."""
        try:
            for change in maintain(self._url, self._spec, self._span):
                self._changed(change)
        except DdpmError as error:
            if error.message != self._problem:
                self._log.warning("the months of the table are not kept", error=error.message, hint=error.hint)
                self._report(f"the months of the table {self._spec} are not kept: {error.message}")
            self._problem = error.message
        else:
            self._problem = None

    def _changed(self, change: Made | Dropped) -> None:
        if isinstance(change, Dropped):
            self._log.info("month dropped", partition=change.name)
            self._report(f"the month {change.name} was dropped: it is older than the retention")
            return
        self._log.info("month made", partition=change.name, moved=change.rows)
        if change.rows:
            self._report(
                f"the month {change.name} was made, with {counted(change.rows, 'row')} out of the default partition"
            )
