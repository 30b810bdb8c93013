"""Informs a consumer group of engines that ended without leaving it: killed, crashed, or ended by force.

Kafka gives the partitions of a member that is gone to others only when its session has run out, after ten seconds. Each
engine that ddpm launches has a client id of its own, by which its membership alone is ended.
"""

import threading
import time
from collections.abc import Sequence

import structlog

from ddpm.broker.members import dismiss
from ddpm.config.model import Cluster
from ddpm.errors import DdpmError

# Behind that the broker has ended the session by itself.
SESSION_SECONDS = 10.0
# How long an engine may take to come in the place of the last member.
_SUCCESSOR_SECONDS = 2.0
_ASK_SECONDS = 3.0
_PAUSE = 0.5


class Departures:
    """The engines of one pipeline that have gone so. Asks Kafka in a thread that lives while there are any.

    Args:
        pipeline: The pipeline's name.
        brokers: Addresses, `host:port`.
        group: Its consumer group.

    """

    def __init__(self, pipeline: str, brokers: Sequence[str], group: str) -> None:
        self._brokers = Cluster.of(brokers)
        self._group = group
        self._lock = threading.Lock()
        # The ids of clients that are gone, and when that was noticed.
        self._gone: dict[str, float] = {}
        self._log = structlog.get_logger().bind(pipeline=pipeline, group=group)

    def ended(self, client_id: str) -> None:
        """See off the engine with this client id, which nobody else has; returns at once."""
        with self._lock:
            alone = not self._gone
            self._gone[client_id] = time.monotonic()
        if alone:
            threading.Thread(target=self._see_off, name=f"departures from {self._group}", daemon=True).start()

    def _see_off(self) -> None:
        while gone := self._due():
            try:
                removed = dismiss(self._brokers, self._group, gone, _SUCCESSOR_SECONDS, _ASK_SECONDS)
            except DdpmError as error:
                self._log.debug("the group does not know yet that an engine has ended", error=error.message)
                time.sleep(_PAUSE)
                continue
            except Exception:  # noqa: BLE001 -- whatever it is, the next engine that ends is seen off as well
                self._log.exception("the group could not be informed that an engine has ended")
                removed = 0
            if removed:
                self._log.info("engines that ended without leaving their group were removed from it", members=removed)
            with self._lock:
                self._gone = {each: at for each, at in self._gone.items() if each not in gone}

    def _due(self) -> frozenset[str]:
        """Those that are still to be seen off; none once the broker has done so by itself."""
        with self._lock:
            since = time.monotonic() - SESSION_SECONDS
            self._gone = {each: at for each, at in self._gone.items() if at > since}
            return frozenset(self._gone)
