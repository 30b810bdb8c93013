"""Asks a running ddpm over its HTTP API, and says in words why an answer is none.

It knows nothing of what is asked for and prints nothing; answers are decoded JSON that `read` turns into models.
"""

import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx2 as httpx
from pydantic import ValidationError

from ddpm.cli.address import TOKEN_VARIABLE, Address
from ddpm.cli.text import plain
from ddpm.cli.trust import why_not
from ddpm.errors import ConfigError, DdpmError, ServiceError
from ddpm.server.views import View

Params = Mapping[str, str | int]
T = TypeVar("T", bound=View)

ANSWER_SECONDS = 10.0
CONNECT_SECONDS = 3.0
_PIPELINES = "/v1/pipelines"
# What stands in front of a ddpm says so when that is away.
_GATEWAY_SAYS_AWAY = (httpx.codes.BAD_GATEWAY, httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.GATEWAY_TIMEOUT)
_WAY_OUT = "is `ddpm run` up? Name its address with --url or DDPM_URL, or its configuration with --config"


class AwayError(ServiceError):
    """No answer comes from there, or not any more."""


class SlowError(AwayError):
    """Somebody is there, and does not answer in time."""


class ForeignError(ServiceError):
    """What answers there is no ddpm, or one that this command does not understand."""

    retryable = False


class RefusedError(DdpmError):
    """ddpm answered that it will not."""


class NotFoundError(ConfigError):
    """ddpm knows no such pipeline."""


class Client:
    """A connection to one ddpm; a context manager."""

    def __init__(self, address: Address) -> None:
        self._address = address
        headers = {"Authorization": f"Bearer {address.token}"} if address.token else {}
        self._http = httpx.Client(
            base_url=address.url,
            headers=headers,
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            # Without TLS the certificates are not needed, and to read them takes longer than the question.
            verify=_verified(address),
            # A proxy or a password meant for others must not get between a command and its ddpm.
            trust_env=False,
        )

    @property
    def url(self) -> str:
        """Where it asks."""
        return self._address.url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def pipelines(self, patience: float = ANSWER_SECONDS) -> Any:  # noqa: ANN401 -- JSON
        """The answer to `GET /v1/pipelines`; raises as `get` does."""
        return self.get(_PIPELINES, patience=patience)

    def pipeline(self, name: str) -> Any:  # noqa: ANN401 -- JSON
        """The answer to `GET /v1/pipelines/{name}`; raises as `get` does."""
        with self.about(name):
            return self.get(_path(name))

    def ask(self, name: str, request: str, body: Mapping[str, Any]) -> Any:  # noqa: ANN401 -- JSON
        """Make a request of a pipeline and return ddpm's answer; raises as `get` does."""
        with self.about(name), self._translated():
            return self._json(self._http.post(f"{_path(name)}/{request}", json=body))

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 -- JSON
        """Make a request of ddpm as a whole and return its answer; raises as `get` does."""
        with self._translated():
            return self._json(self._http.post(path, json=body or {}))

    def get(self, path: str, params: Params | None = None, patience: float = ANSWER_SECONDS) -> Any:  # noqa: ANN401 -- JSON
        """The JSON at a path; `patience` is how long the answer may take, in seconds.

        Raises:
            AwayError: There is no answer.
            ForeignError: The answer is not ddpm's.
            ConfigError: There is no such pipeline (NotFoundError), or a parameter is wrong.
            RefusedError: A token is missing or wrong, or ddpm refuses for another reason.

        """
        with self._translated():
            timeout = httpx.Timeout(patience, connect=CONNECT_SECONDS)
            return self._json(self._http.get(path, params=params, timeout=timeout))

    def page(self, path: str) -> str:
        """The text at a path; raises as `get` does."""
        with self._translated():
            response = self._http.get(path)
            if not response.is_success:
                self._json(response)
            return response.text

    @contextmanager
    def about(self, name: str | None) -> Iterator[None]:
        """Name the pipeline in the error when ddpm knows none of this name."""
        try:
            yield
        except NotFoundError as error:
            if name is None:
                raise
            msg = f'the ddpm at {self.url} has no pipeline "{plain(name)}"'
            raise NotFoundError(msg, hint=error.hint or "`ddpm status` lists them") from error

    def stream(self, path: str, params: Params | None = None, last_id: int | None = None) -> Iterator[str]:
        """The data of the server-sent events of a path that follow the event `last_id`, while the connection holds.

        It ends when ddpm ends the stream; raises as `get` does, AwayError also when the connection breaks.
        """
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if last_id is not None:
            headers["Last-Event-ID"] = str(last_id)
        # A quiet stream says a word every few seconds; one that does not is dead.
        patience = httpx.Timeout(4 * ANSWER_SECONDS, connect=CONNECT_SECONDS)
        with (
            self._translated(),
            self._http.stream("GET", path, params=params, headers=headers, timeout=patience) as response,
        ):
            if response.status_code != httpx.codes.OK:
                response.read()
                self._json(response)
            if response.headers.get("content-type", "").partition(";")[0].strip() != "text/event-stream":
                raise self._foreign("did not answer with a stream of events")
            yield from (event.data for event in httpx.EventSource(response) if event.data)

    def read(self, shape: type[T], answer: Any) -> T:  # noqa: ANN401 -- JSON
        """An answer as a model.

        Raises:
            ForeignError: It has another shape.

        """
        try:
            return shape.model_validate(answer)
        except ValidationError as error:
            place = plain(".".join(str(step) for step in error.errors()[0]["loc"]))
            raise self._foreign(f"answered in a shape that is not known here ({place or 'as a whole'})") from error

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except httpx.ConnectTimeout as error:
            raise AwayError(f"{self.url} does not answer in time", hint=_WAY_OUT) from error
        except httpx.TimeoutException as error:
            hint = "it may be busy: try again; `ddpm doctor` looks for the cause"
            raise SlowError(f"{self.url} does not answer in time", hint=hint) from error
        except httpx.TransportError as error:
            if because := why_not(self.url, self._address.trust, error):
                raise ForeignError(because[0], hint=because[1]) from error
            msg = f"nothing answers at {self.url}: {plain(str(error)) or type(error).__name__}"
            raise AwayError(msg, hint=_WAY_OUT) from error
        except (httpx.DecodingError, httpx.InvalidURL) as error:
            raise self._foreign("did not answer in a readable way") from error

    def _json(self, response: httpx.Response) -> Any:  # noqa: ANN401 -- JSON
        if response.status_code in _GATEWAY_SAYS_AWAY:
            msg = f"{self.url} answered {response.status_code}: ddpm is not there behind it"
            raise AwayError(msg, hint=_WAY_OUT)
        try:
            body = response.json()
        except ValueError as error:
            raise self._foreign(f"answered {response.status_code} without JSON") from error
        if response.is_success:
            return body
        raise self._refusal(response.status_code, body)

    def _refusal(self, status: int, body: Any) -> DdpmError:  # noqa: ANN401 -- JSON
        match body:
            case {"error": {"message": str(message), **more}}:
                hint = more.get("hint")
            case _:
                return self._foreign(f"answered {status}, and not as ddpm does")
        if status == httpx.codes.UNAUTHORIZED:
            return self._wrong_token()
        text, way_out = plain(message), plain(hint) if isinstance(hint, str) else None
        if status == httpx.codes.NOT_FOUND:
            return NotFoundError(text, hint=way_out)
        if status == httpx.codes.UNPROCESSABLE_CONTENT:
            return ConfigError(text, hint=way_out)
        return RefusedError(text, hint=way_out)

    def _wrong_token(self) -> RefusedError:
        hint = f"name the file that holds it with --token-file, or set {TOKEN_VARIABLE}"
        if self._address.token is None:
            return RefusedError(f"the ddpm at {self.url} asks for a token", hint=hint)
        return RefusedError(
            f"the ddpm at {self.url} does not accept the token that comes from {self._address.token_from}", hint=hint
        )

    def _foreign(self, said: str) -> ForeignError:
        return ForeignError(f"{self.url} {said}", hint="is it ddpm, of this version? --url names another address")


def _verified(address: Address) -> ssl.SSLContext | bool:
    if address.url.lower().startswith("http:"):
        return False
    return address.trust.usual or address.trust.context()


def _path(name: str) -> str:
    """The path of a pipeline, whatever characters its name has."""
    if not name:
        msg = "the pipeline's name is empty"
        raise ConfigError(msg, hint="`ddpm status` lists the names")
    return f"{_PIPELINES}/{quote(os.fsencode(name), safe='')}"
