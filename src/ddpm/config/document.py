"""The text of a configuration file: its lines, and how a finding in it becomes a problem that shows no secret."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ddpm.config.address import EMBEDDED, URL_SCHEMES, url_is_clean, url_passwords
from ddpm.config.interpolate import without_references
from ddpm.config.problems import Finding, Place, Problem

MASK = "***"

# Longer lines are no person's; looking for secrets in them would take long.
_LONGEST_LINE = 4096
_LONGEST_TEXT = 2000

# The breaks that YAML counts as lines.
_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
_ONE_REFERENCE = r"\$\{[A-Za-z_][A-Za-z0-9_]*\}"
_PASSWORD_OF_URL = re.compile(rf"//[^\s:@/'\"]*:(?!{_ONE_REFERENCE}@)(?P<secret>\S*)@")
_PASSWORD_OF_ADDRESS = re.compile(rf"(?<![\w.+-])[\w.+-]++:(?!{_ONE_REFERENCE}@)(?P<secret>[^\s/@]+)@")
_ANYTHING_BEFORE_AT = re.compile(r"(?P<secret>\S+)@")
_NAME_OF_ONE = r"[\w-]*(?:passw|passphrase|secret|token|credential|api_?key)[\w-]*"
_NAMED_SECRET = re.compile(
    rf"(?i)(?:passw|passphrase|secret|token|credential|api_?key)[\w-]{{0,64}}[\"']?\s*[:=]\s*"
    rf"(?!{_ONE_REFERENCE}[\s\"']*$)(?P<secret>\S.*)"
)
_VALUE_OF_URL_KEY = re.compile(
    rf"\burl[\"']?\s*:\s*(?![\"']?(?:{_ONE_REFERENCE}|{EMBEDDED})[\"']?\s*$)(?P<secret>\S.*)"
)
_ADDRESSES = (_PASSWORD_OF_URL, _PASSWORD_OF_ADDRESS)
_PATTERNS = (*_ADDRESSES, _NAMED_SECRET)
# Stands for what a variable holds; a character that does not occur.
_ELSEWHERE = "\ue000"

_HIDDEN_KEY = re.compile(rf"(?i)(?:^|[\s{{,\"'])(?:url|registry|push_gateway|{_NAME_OF_ONE})[\"']?\s*:(?:\s|$)")
_INDENTED = re.compile(r"^[ \t]*(?P<secret>\S.*)")

Span = tuple[int, int]


class Document:
    """One file's path as the user named it, and its text.

    Args:
        file: The path.
        text: What is in the file.
        number: Its number among the texts that are read together.
        start: Where the YAML begins in it: behind the key in the text of an option, whose lines nobody counts.

    """

    def __init__(self, file: Path, text: str, number: int = 0, start: int = 0) -> None:
        self.file = file
        self.text = text
        self.number = number
        self.start = start
        self._starts = [0, *(match.end() for match in _BREAK.finditer(text))]

    def place(self, index: int) -> Place:
        """Line and column of a character of the text."""
        line = bisect_right(self._starts, index)
        return Place(line, index - self._starts[line - 1] + 1, self.number)

    @property
    def yaml(self) -> str:
        """What of the text is YAML."""
        return self.text[self.start :]

    def named(self, at: Place) -> str:
        """A place of the text as it is called in a sentence: `app-config.yaml, line 3`."""
        return str(self.file) if self.start else f"{self.file}, line {at.line}"

    def problems(self, findings: Iterable[Finding], urls: Sequence[Span] | None) -> tuple[Problem, ...]:
        """Every finding once, in the order of the file, each with its line.

        Args:
            findings: What was found, in any order.
            urls: Where the text's URLs and values of secret keys stand; None when the text could not be understood
                so far, which hides whatever follows such a key.

        """
        unique = dict.fromkeys(findings)
        ordered = sorted(unique, key=lambda finding: finding.at or Place(0, 0))
        lines = _Lines(self, urls)
        return tuple(self._problem(finding, lines) for finding in ordered)

    def _problem(self, finding: Finding, lines: "_Lines") -> Problem:
        line, caret = lines.shown(finding.at) if finding.at else (None, None)
        return Problem(
            code=finding.code,
            # A key of the file, and a value that does not fit, may be quoted in these.
            path=_shown(finding.path),
            message=_shown(finding.message),
            file=self.file,
            line=finding.at.line if finding.at and not self.start else None,
            column=finding.at.column if finding.at and not self.start else None,
            source_line=line,
            caret=caret,
            hint=finding.hint and _shown(finding.hint),
            severity=finding.severity,
        )

    def line_bounds(self, line: int) -> Span:
        """Where a line begins and ends in the text, its break included."""
        starts = self._starts
        if not 1 <= line <= len(starts):
            return len(self.text), len(self.text)
        return starts[line - 1], starts[line] if line < len(starts) else len(self.text)


class Documents:
    """The texts that a configuration is read from together, in the order of their numbers."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._documents = tuple(documents)

    def of(self, at: Place) -> Document:
        """The text that a place is in."""
        return self._documents[at.file]

    def named(self, at: Place) -> str:
        """A place as it is called in a sentence: `app-config.yaml, line 3`."""
        return self.of(at).named(at)

    def problems(self, findings: Iterable[Finding], urls: Mapping[int, Sequence[Span]]) -> tuple[Problem, ...]:
        """Every finding once, text by text, as `Document.problems` has them; `urls` by the number of the text."""
        by_number: dict[int, list[Finding]] = {each.number: [] for each in self._documents}
        for finding in findings:
            by_number[finding.at.file if finding.at else 0].append(finding)
        each_of = (each.problems(by_number[each.number], urls.get(each.number, ())) for each in self._documents)
        return tuple(problem for problems in each_of for problem in problems)


class _Lines:
    """The lines of a document as problems show them, each masked once however many problems it has."""

    def __init__(self, document: Document, urls: Sequence[Span] | None) -> None:
        self._document = document
        self._unparsed = urls is None
        self._patterns = _secret_patterns(urls)
        self._urls = sorted(urls or ())
        self._ends = [end for _, end in sorted(self._urls, key=lambda span: span[1])]
        self._masked: dict[int, tuple[str, list[Span]] | None] = {}

    def shown(self, at: Place) -> tuple[str | None, int | None]:
        """The masked line of a place, and the column in it that is meant; none of a line that is endless."""
        if at.line not in self._masked:
            self._masked[at.line] = self._mask(at.line)
        found = self._masked[at.line]
        return (None, None) if found is None else (found[0], _moved(at.column, found[1]))

    def _mask(self, number: int) -> tuple[str, list[Span]] | None:
        start, end = self._document.line_bounds(number)
        if end - start > _LONGEST_LINE:
            return None
        line = _BREAK.sub("", self._document.text[start:end])
        spans = [match.span("secret") for pattern in self._patterns for match in pattern.finditer(line)]
        # Spans do not overlap, so in order of their beginnings they are in order of their ends, too.
        for first, last in self._urls[bisect_right(self._ends, start) :]:
            if first >= end:
                break
            spans += self._hidden(first, last, start, line)
        if self._unparsed and self._continues_a_secret(number, line):
            spans += [match.span("secret") for match in _INDENTED.finditer(line)]
        merged = _merged(spans)
        return _replaced(line, merged), merged

    def _hidden(self, first: int, last: int, start: int, line: str) -> list[Span]:
        """What of a line must not be shown because of a value that may hold a secret."""
        written = self._document.text[first:last]
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
        above = _BREAK.split(self._document.text)[: number - 1]
        indent = _indent(line)
        for each in reversed(above):
            if each.strip() and _indent(each) < indent:
                indent = _indent(each)
                if _HIDDEN_KEY.search(each):
                    return True
        return False


def _shown(text: str) -> str:
    """A text without passwords; one that quotes without end is cut before a word that may be part of one."""
    if len(text) > _LONGEST_TEXT:
        kept, word = text[:_LONGEST_TEXT], text[:_LONGEST_TEXT].rpartition(" ")[2]
        text = f"{kept.removesuffix(word) if ':' in word or '@' in word else kept}…"
    return _without_passwords(text, _ADDRESSES)


def _indent(line: str) -> int:
    line = line.expandtabs()
    return len(line) - len(line.lstrip())


def _secret_patterns(urls: Sequence[Span] | None) -> list[re.Pattern[str]]:
    unparsed = [_VALUE_OF_URL_KEY, _ANYTHING_BEFORE_AT] if urls is None else []
    return [*_PATTERNS, *unparsed]


def _without_passwords(text: str, patterns: Sequence[re.Pattern[str]]) -> str:
    for pattern in patterns:
        text = _replaced(text, [match.span("secret") for match in pattern.finditer(text)])
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


def _replaced(line: str, spans: Sequence[Span]) -> str:
    pieces, end = [], 0
    for start, last in spans:
        pieces += [line[end:start], MASK]
        end = last
    return "".join([*pieces, line[end:]])


def _moved(column: int, spans: Sequence[Span]) -> int:
    """Where a column, counted from 1, of a line is once its spans have been replaced."""
    shift = 0
    for start, end in spans:
        if column <= start:
            break
        if column <= end:
            return start + shift + 1
        shift += len(MASK) - (end - start)
    return column + shift
