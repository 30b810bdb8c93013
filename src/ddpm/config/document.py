"""The text of a configuration file: its lines, and how a finding in it becomes a problem that shows no secret."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from ddpm.config.address import EMBEDDED, URL_SCHEMES, url_is_clean, url_passwords
from ddpm.config.interpolate import without_references
from ddpm.config.problems import Finding, Place, Problem

MASK = "***"

# The breaks that YAML counts as lines.
_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
_ONE_REFERENCE = r"\$\{[A-Za-z_][A-Za-z0-9_]*\}"
_PASSWORD_OF_URL = re.compile(rf"//[^\s:@/'\"]*:(?!{_ONE_REFERENCE}@)(?P<secret>\S*)@")
_PASSWORD_OF_ADDRESS = re.compile(rf"[\w.+-]+:(?!{_ONE_REFERENCE}@)(?P<secret>[^\s/@]+)@")
_ANYTHING_BEFORE_AT = re.compile(r"(?P<secret>\S+)@")
_NAME_OF_ONE = r"[\w-]*(?:passw|passphrase|secret|token|credential|api_?key)[\w-]*"
_NAMED_SECRET = re.compile(
    rf"(?i){_NAME_OF_ONE}[\"']?\s*[:=]\s*"
    rf"(?!{_ONE_REFERENCE}[\s\"']*$)(?P<secret>\S.*)"
)
_VALUE_OF_URL_KEY = re.compile(
    rf"\burl[\"']?\s*:\s*(?![\"']?(?:{_ONE_REFERENCE}|{EMBEDDED})[\"']?\s*$)(?P<secret>\S.*)"
)
_ADDRESSES = (_PASSWORD_OF_URL, _PASSWORD_OF_ADDRESS)
_PATTERNS = (*_ADDRESSES, _NAMED_SECRET)
# Stands for what a variable holds; a character that nobody writes.
_ELSEWHERE = "\ue000"

_HIDDEN_KEY = re.compile(rf"(?i)(?:^|[\s{{,\"'])(?:url|registry|push_gateway|{_NAME_OF_ONE})[\"']?\s*:(?:\s|$)")
_INDENTED = re.compile(r"^[ \t]*(?P<secret>\S.*)")

Span = tuple[int, int]


class Document:
    """One file's path as the user named it, and its text."""

    def __init__(self, file: Path, text: str) -> None:
        self.file = file
        self.text = text
        self._starts = [0, *(match.end() for match in _BREAK.finditer(text))]

    def place(self, index: int) -> Place:
        """Line and column of a character of the text."""
        line = bisect_right(self._starts, index)
        return Place(line, index - self._starts[line - 1] + 1)

    def problems(self, findings: Iterable[Finding], urls: Sequence[Span] | None) -> tuple[Problem, ...]:
        """Every finding once, in the order of the file, each with its line.

        Args:
            findings: What was found, in any order.
            urls: Where the text's URLs and values of secret keys stand; None when the text could not be understood
                so far, which hides whatever follows such a key.

        """
        unique = dict.fromkeys(findings)
        ordered = sorted(unique, key=lambda finding: finding.at or Place(0, 0))
        return tuple(self._problem(finding, urls) for finding in ordered)

    def _problem(self, finding: Finding, urls: Sequence[Span] | None) -> Problem:
        line, caret = self._masked(finding.at, urls) if finding.at else (None, None)
        return Problem(
            code=finding.code,
            # A key of the file, and a value that does not fit, may be quoted in these.
            path=_without_passwords(finding.path, _ADDRESSES),
            message=_without_passwords(finding.message, _ADDRESSES),
            file=self.file,
            line=finding.at.line if finding.at else None,
            column=finding.at.column if finding.at else None,
            source_line=line,
            caret=caret,
            hint=finding.hint and _without_passwords(finding.hint, _ADDRESSES),
            severity=finding.severity,
        )

    def _masked(self, at: Place, urls: Sequence[Span] | None) -> tuple[str, int]:
        bounds = dict(enumerate(pairwise([*self._starts, len(self.text)]), start=1))
        start, end = bounds.get(at.line, (len(self.text), len(self.text)))
        line = _BREAK.sub("", self.text[start:end])
        spans = [match.span("secret") for pattern in _secret_patterns(urls) for match in pattern.finditer(line)]
        for first, last in urls or ():
            spans += self._hidden(first, last, start, line)
        if urls is None and self._continues_a_secret(at.line, line):
            spans += [match.span("secret") for match in _INDENTED.finditer(line)]
        return _replaced(line, at.column, _merged(spans))

    def _hidden(self, first: int, last: int, start: int, line: str) -> list[Span]:
        """What of a line must not be shown because of a value that may hold a secret."""
        written = self.text[first:last]
        if first >= start + len(line) or last <= start:
            return []
        spans = [] if _shows_no_secret(written) else [(max(first - start, 0), min(last - start, len(line)))]
        # Behind an unquoted value, YAML takes the rest of a password that holds " #" for a comment.
        comment = line.find("#", last - start)
        if comment >= 0 and written[:1] not in "\"'" and not _is_no_value(written):
            spans.append((comment, len(line)))
        return spans

    def _continues_a_secret(self, number: int, line: str) -> bool:
        """Whether a line stands below the key of a secret or a URL, as a value on a line of its own does."""
        above = _BREAK.split(self.text)[: number - 1]
        indent = _indent(line)
        for each in reversed(above):
            if each.strip() and _indent(each) < indent:
                indent = _indent(each)
                if _HIDDEN_KEY.search(each):
                    return True
        return False


def _indent(line: str) -> int:
    line = line.expandtabs()
    return len(line) - len(line.lstrip())


def _secret_patterns(urls: Sequence[Span] | None) -> list[re.Pattern[str]]:
    unparsed = [_VALUE_OF_URL_KEY, _ANYTHING_BEFORE_AT] if urls is None else []
    return [*_PATTERNS, *unparsed]


def _without_passwords(text: str, patterns: Sequence[re.Pattern[str]]) -> str:
    for pattern in patterns:
        text, _ = _replaced(text, 1, [match.span("secret") for match in pattern.finditer(text)])
    return text


def _is_no_value(written: str) -> bool:
    """Whether a value is one reference or the word `embedded`, and so no secret itself."""
    return written == EMBEDDED or without_references(written, _ELSEWHERE) == _ELSEWHERE


def _shows_no_secret(written: str) -> bool:
    """Whether the patterns alone hide all that is secret in a URL as it is written in the file."""
    url = written.strip("\"'")
    probe = without_references(url, _ELSEWHERE)
    if probe == _ELSEWHERE:
        return True
    shown = _without_passwords(url, _PATTERNS)
    words = {word for password in url_passwords(probe) for word in password.split(_ELSEWHERE) if word}
    readable = probe.startswith(URL_SCHEMES) and url_is_clean(probe) and "${" not in probe
    return readable and not any(word in shown for word in words)


def _merged(spans: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        elif start < end:
            merged.append((start, end))
    return merged


def _replaced(line: str, column: int, spans: list[Span]) -> tuple[str, int]:
    caret = column
    for start, end in reversed(spans):
        line = line[:start] + MASK + line[end:]
        if column > end:
            caret += len(MASK) - (end - start)
        elif column > start:
            caret = start + 1
    return line, caret
