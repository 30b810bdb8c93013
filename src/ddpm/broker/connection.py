"""How ddpm gets hold of a Kafka client: opened, always closed again, its errors translated, its own chatter silenced.

Knows nothing of topics or records. Whatever leaves this package is an error of ddpm, never one of the library.
"""

import base64
import logging
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from kafka import KafkaAdminClient
from kafka.errors import (
    AuthorizationError,
    BrokerResponseError,
    IllegalSaslStateError,
    KafkaConfigurationError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    NodeNotReadyError,
    SaslAuthenticationFailedError,
    UnknownBrokerIdError,
    UnsupportedSaslMechanismError,
)
from kafka.net.compat import KafkaNetClient
from kafka.net.selector import NetworkSelector

from ddpm.broker.manager import ConnectionManager
from ddpm.broker.security import client_options, refusal
from ddpm.config.model import Cluster
from ddpm.errors import ConfigError, DdpmError, ServiceError

DEFAULT_TIMEOUT = 15.0

_LOST = (KafkaConnectionError, KafkaTimeoutError, NodeNotReadyError, UnknownBrokerIdError)
_REFUSED = (SaslAuthenticationFailedError, UnsupportedSaslMechanismError, IllegalSaslStateError)
_PROBE_SECONDS = 3.0
_BOOTSTRAP_SECONDS = 5.0
_REFUSAL_SECONDS = 2.0
_HINT_ADDRESS = "check app.kafka.brokers, and that the broker runs"

Client = TypeVar("Client")

# Secured clusters that let a client in when one was opened last.
_reached: set[Cluster] = set()
# The client that a thread keeps open; see `kept_open`.
_kept = threading.local()


@contextmanager
def admin(brokers: Sequence[str], timeout: float = DEFAULT_TIMEOUT) -> Iterator[KafkaAdminClient]:
    """Yield an administration client of the cluster behind `brokers`; each request may take `timeout` seconds.

    Inside `kept_open` for the same brokers that one is yielded, with its time limit.

    Raises:
        ServiceError: No broker answers, or one refuses what was asked.
        ConfigError: What was asked makes no sense to the broker.

    """
    held: tuple[Cluster, KafkaAdminClient] | None = getattr(_kept, "admin", None)
    if held is not None and held[0] == Cluster.of(brokers):
        # Its other errors are translated where it was opened, which knows the addresses that the brokers give.
        with _controller_errors(brokers):
            yield held[1]
        return
    with opened(KafkaAdminClient, brokers, timeout) as client, _controller_errors(brokers):
        yield client


@contextmanager
def kept_open(brokers: Sequence[str], timeout: float = DEFAULT_TIMEOUT) -> Iterator[None]:
    """Let everything that this thread asks of `brokers` in the block use one client: to open one costs the most.

    Raises:
        ServiceError: No broker answers.

    """
    with opened(KafkaAdminClient, brokers, timeout) as client:
        _kept.admin = (Cluster.of(brokers), client)
        try:
            yield
        finally:
            del _kept.admin


@contextmanager
def _controller_errors(brokers: Sequence[str]) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # how kafka-python says that no controller is elected
        raise ServiceError(f"the broker at {_list(brokers)} cannot answer: {error}", hint="try again") from error


@contextmanager
def opened(
    factory: Callable[..., Client], brokers: Sequence[str], timeout: float, **options: object
) -> Iterator[Client]:
    """Yield a client made by `factory` with kafka-python's `options`; close it and all that it started in any case.

    Raises:
        ServiceError: No broker answers, or one refuses what was asked.
        ConfigError: What was asked makes no sense to the broker.

    """
    _silence_library()
    cluster = Cluster.of(brokers)
    secured = client_options(cluster.security)
    answering = _answering(brokers, min(timeout, _PROBE_SECONDS))
    # kafka-python tries again and again until its time is up, however clearly a broker refuses.
    patience = min(timeout / 2, _REFUSAL_SECONDS)
    known = not secured or cluster in _reached
    if not known and (refused := _refused(Cluster(answering, cluster.security), (), patience)):
        raise refused
    net_client = _NetClientFactory()
    client: Any = None
    with translate_errors(brokers, net_client.advertised, patience):
        try:
            client = factory(
                bootstrap_servers=answering,
                bootstrap_timeout_ms=int(min(timeout, _BOOTSTRAP_SECONDS) * 1000),
                request_timeout_ms=int(timeout * 1000),
                kafka_client=net_client,
                **secured,
                **options,
            )
            _reached.add(cluster)
            yield client
        except _LOST:
            _reached.discard(cluster)
            raise
        finally:
            # A constructor that fails leaves its thread and its sockets behind.
            net_client.close() if client is None else client.close()


@contextmanager
def translate_errors(
    brokers: Sequence[str], advertised: Callable[[], Sequence[str]] = tuple, patience: float = _REFUSAL_SECONDS
) -> Iterator[None]:
    """Turn whatever kafka-python raises inside into a ServiceError or ConfigError that names the way out.

    Args:
        brokers: The addresses that the user gave; a `Cluster` where they are secured.
        advertised: Gives the addresses that the brokers themselves gave; empty while none is known.
        patience: Seconds for finding out whether a broker refuses to let ddpm in.

    """
    try:
        yield
    except DdpmError:
        raise
    except _LOST as error:
        refused = _refused(brokers, advertised(), patience)
        raise refused or _lost_connection(brokers, advertised(), error) from error
    except _REFUSED as error:
        refused = _refused(brokers, advertised(), patience)
        raise refused or _lost_connection(brokers, (), error) from error
    except AuthorizationError as error:
        msg = f"the broker at {_list(brokers)} does not allow this: {answer(error)}"
        raise ServiceError(msg, hint="give the user of ddpm the missing right on the broker") from error
    except KafkaConfigurationError as error:
        raise ConfigError(f"the Kafka client refuses its options: {answer(error)}") from error
    except KafkaError as error:
        raise ServiceError(f"the broker at {_list(brokers)} answers: {answer(error)}") from error


def answer(error: BaseException) -> str:
    """What a broker or the library said, without the dump of request and response that kafka-python appends."""
    text = " ".join(str(part) for part in error.args) or type(error).__name__
    if isinstance(error, BrokerResponseError):
        name = getattr(type(error), "message", None) or type(error).__name__
        said = "" if text.startswith("Request '") or text == type(error).__name__ else f": {text}"
        return f"{name}{said}"
    return text


class _NetClientFactory:
    """Makes the network client of a kafka-python client and remembers it, for the case that nobody else does."""

    def __init__(self) -> None:
        self._selector: NetworkSelector | None = None
        self._client: KafkaNetClient | None = None

    def __call__(self, **configs: object) -> KafkaNetClient:
        self._selector = NetworkSelector(**configs)
        manager = ConnectionManager(self._selector, **configs)
        self._client = KafkaNetClient(net=self._selector, manager=manager, **configs)
        return self._client

    def advertised(self) -> list[str]:
        return [f"{broker.host}:{broker.port}" for broker in self._client.cluster.brokers()] if self._client else []

    def close(self) -> None:
        if self._selector is not None:
            self._selector.stop()
        if self._client is not None:
            self._client.close()


def _silence_library() -> None:
    # Every error is raised to ddpm, which says it once; the library would log each attempt of each retry.
    library = logging.getLogger("kafka")
    if library.level == logging.NOTSET:
        library.setLevel(logging.CRITICAL)


def _refused(brokers: Sequence[str], advertised: Sequence[str], patience: float) -> ServiceError | None:
    """Why a broker does not let ddpm in; None where none says so."""
    security = Cluster.of(brokers).security
    deadline = time.monotonic() + patience
    for address in dict.fromkeys((*advertised, *brokers)):
        if (left := deadline - time.monotonic()) > 0 and (found := refusal(address, security, left)):
            return ServiceError(found.message, hint=found.hint)
    return None


def _lost_connection(brokers: Sequence[str], advertised: Sequence[str], error: KafkaError) -> ServiceError:
    unreachable = {address: problem for address, problem in probe(advertised, _PROBE_SECONDS).items() if problem}
    if unreachable and len(unreachable) == len(advertised):
        listed = "; ".join(f"{address}: {problem}" for address, problem in unreachable.items())
        msg = f"the broker at {_list(brokers)} answers, but gives addresses that cannot be reached from here: {listed}"
        return ServiceError(msg, hint="correct advertised.listeners of the broker, or make these names known here")
    if not advertised and isinstance(error, KafkaTimeoutError):
        msg = f"{_list(brokers)} accepts connections but does not answer as a Kafka broker"
        return ServiceError(msg, hint=_HINT_ADDRESS)
    if isinstance(error, NodeNotReadyError) or "ECONNREFUSED" in str(error):
        # Which of the two it is depends on how long ago it was tried before.
        return ServiceError(f"the broker at {_list(brokers)} cannot be connected to", hint=_HINT_ADDRESS)
    return ServiceError(
        f"the connection to the broker at {_list(brokers)} was lost: {answer(error)}", hint=_HINT_ADDRESS
    )


def _answering(brokers: Sequence[str], timeout: float) -> list[str]:
    problems = probe(brokers, timeout)
    answering = [address for address, problem in problems.items() if problem is None]
    if not answering:
        listed = "; ".join(f"{address}: {problem}" for address, problem in problems.items())
        what = "the Kafka broker cannot be reached" if len(brokers) == 1 else "no Kafka broker can be reached"
        raise ServiceError(f"{what}: {listed}", hint=_HINT_ADDRESS)
    return answering


def probe(addresses: Sequence[str], timeout: float) -> dict[str, str | None]:
    """Connect to every address at once; return for each what went wrong, None where something accepts connections."""
    problems: dict[str, str | None] = dict.fromkeys(addresses, f"no answer within {timeout:g} s")
    # Daemons, because nothing can cut a look-up of a name short; it ends by the resolver's own limit.
    threads = [
        threading.Thread(target=_probe_one, args=(address, timeout, problems), daemon=True) for address in addresses
    ]
    deadline = time.monotonic() + timeout
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return dict(problems)


def _probe_one(address: str, timeout: float, problems: dict[str, str | None]) -> None:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout).close()
        problems[address] = None
    except TimeoutError:
        pass
    except socket.gaierror:
        problems[address] = "name not known"
    except UnicodeError:
        problems[address] = "not the name of a host"
    except OSError as error:
        problems[address] = (error.strerror or str(error)).lower()


def _list(brokers: Sequence[str]) -> str:
    return ", ".join(brokers)


_NO_TOPIC_ID = uuid.UUID(int=0)


def spelled_id(topic_id: object) -> str | None:
    """A topic's id as Kafka's own tools spell it; None for none."""
    if not topic_id or topic_id == _NO_TOPIC_ID:
        return None
    return base64.urlsafe_b64encode(uuid.UUID(str(topic_id)).bytes).decode().rstrip("=")
