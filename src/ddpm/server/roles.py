"""Which role each request of the API needs: the one place that says so, for the guard, the documents and the tests."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ddpm.config.model import Role

READING = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True)
class Rule:
    """What one route needs.

    Attributes:
        method: The HTTP method.
        path: The route, as the application writes it.
        role: The least role that may call it.
        action: What the audit log calls a call of it.
        configures: Whether its body is a configuration: YAML, too, and with secrets that no log may keep.

    """

    method: str
    path: str
    role: Role
    action: str
    configures: bool = False

    def match(self, method: str, path: str) -> Mapping[str, str] | None:
        """The names in a path of this route; None for another request."""
        found = self._pattern.fullmatch(path) if method == self.method else None
        return None if found is None else found.groupdict()

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(self.path)))


_PIPELINE = "/v1/pipelines/{name}"

# What reads needs `read`, and what is not named here `admin`: a route that was forgotten is open to nobody else.
RULES: tuple[Rule, ...] = (
    Rule("GET", "/v1/audit", Role.ADMIN, "read the audit log"),
    # It reads files and asks brokers, databases and the engine.
    Rule("GET", "/v1/plan", Role.OPERATE, "plan a change"),
    # Records are more than how a pipeline is, and an engine is started to try them.
    Rule("GET", f"{_PIPELINE}/records", Role.OPERATE, "look at records"),
    Rule("POST", "/v1/pipelines", Role.ADMIN, "create pipeline", configures=True),
    Rule("PUT", _PIPELINE, Role.ADMIN, "change pipeline", configures=True),
    Rule("DELETE", _PIPELINE, Role.ADMIN, "delete pipeline"),
    Rule("POST", f"{_PIPELINE}/pause", Role.OPERATE, "pause"),
    Rule("POST", f"{_PIPELINE}/resume", Role.OPERATE, "resume"),
    Rule("POST", f"{_PIPELINE}/restart", Role.OPERATE, "restart"),
    Rule("POST", f"{_PIPELINE}/drain", Role.OPERATE, "drain"),
    Rule("POST", f"{_PIPELINE}/scale", Role.OPERATE, "scale"),
    Rule("POST", f"{_PIPELINE}/dead-letters/replay", Role.OPERATE, "replay dead letters"),
    Rule("POST", f"{_PIPELINE}/dead-letters/discard", Role.ADMIN, "discard dead letters"),
    Rule("POST", "/v1/reload", Role.OPERATE, "ask for a reload"),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for: the role it needs, what it is called, the pipeline it names, what its body is."""

    role: Role
    action: str
    pipeline: str | None = None
    configures: bool = False


def asked(method: str, path: str) -> Asked:
    """What a request of the API asks for."""
    for rule in RULES:
        names = rule.match(method, path)
        if names is not None:
            return Asked(rule.role, rule.action, names.get("name"), rule.configures)
    return Asked(Role.READ if method in READING else Role.ADMIN, f"{method} {path}")
