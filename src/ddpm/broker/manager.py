"""Connections of kafka-python to the brokers of one cluster, of which some may be down.

For requests that any broker can answer the library takes one by chance, and gives up when that one is down: it stands
in the cluster's metadata for seconds after its end, and for ever where it was the last copy of something.
"""

from typing import Any, TypeAlias

from kafka.errors import KafkaError, NodeNotReadyError
from kafka.net.manager import KafkaConnectionManager

_Untyped: TypeAlias = Any  # the library's requests, answers and futures
_Manager: Any = KafkaConnectionManager  # it has no types


class ConnectionManager(_Manager):  # type: ignore[misc]
    """The library's, but that what any broker may answer goes to one that can be connected to.

    One that accepts connections and says nothing leaves time for another one.
    """

    def get_connection(self, node_id: int | None, timeout_ms: float | None = None, **options: bool) -> _Untyped:
        """Return the connection to a broker, which may only just begin; in the time given if there is no other."""
        if timeout_ms is not None and len(self.cluster.bootstrap_brokers()) > 1:
            timeout_ms /= 2
        return super().get_connection(node_id, timeout_ms, **options)

    def socket_connection_setup_timeout_ms(self, node_id: int) -> float:
        """How long a connection to a broker may take until requests can be sent."""
        limit: float = super().socket_connection_setup_timeout_ms(node_id)
        share: float = self.config["request_timeout_ms"] / 4
        return min(limit, share) if len(self.cluster.brokers()) > 1 else limit

    def send(self, request: _Untyped, node_id: int | None = None, request_timeout_ms: float | None = None) -> _Untyped:
        """Send a request to a broker, or to any; returns a future of its answer."""
        if node_id is None and len(self.cluster.brokers()) <= 1:
            node_id = self.least_loaded_node()
        if node_id is not None:
            return super().send(request, node_id, request_timeout_ms)
        return self.call_soon(self._send_to_any, request, request_timeout_ms)

    async def _send_to_any(self, request: _Untyped, request_timeout_ms: float | None) -> _Untyped:
        node = await self.any_node()
        return await super().send(request, node, request_timeout_ms)

    async def any_node(self) -> int:
        """The number of a broker that a connection stands to; raises NodeNotReadyError if there is none."""
        for _ in range(max(1, len(self.cluster.brokers()))):
            # One that could not be connected to is not chosen for a moment.
            node: int | None = self.least_loaded_node()
            if node is None:
                break
            try:
                await self.get_connection(node)
            except KafkaError as error:
                # Its frames hold the socket, which the library leaves open, and a list with the error itself.
                error.__traceback__ = None
                continue
            return node
        msg = "no broker can be connected to"
        raise NodeNotReadyError(msg)
