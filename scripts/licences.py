"""Writes the licences of everything that ddpm uses at run time: docs/licences.md, and the texts for the engine.

Each is read from what is really used: installed distributions, modules that are linked into the engine, Kafka's jars.
`--check` writes nothing and fails when the files are not what they should be.
"""

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from rich.console import Console

from ddpm.devstack.jars import Jar, kafka_jars, parse_lock
from ddpm.engine.progress import Progress, Terminal
from ddpm.engine.shipped import tool_lock
from ddpm.engine.toolchain import find_go
from ddpm.engine.wheels import pinned

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "docs" / "licences.md"
TEXTS = ROOT / "docs" / "licences-engine.txt"
POLICY = Path(__file__).with_name("licencecheck") / "policy.toml"

EXTRAS = ("embedded", "profiling")
_IS_TEXT = re.compile(r"(?:licen[cs]e|copying|notice)(?:[.\-_].*)?", re.IGNORECASE)
# What older metadata says in words of its own.
_WORDS = (
    (re.compile(r"\bMIT\b", re.IGNORECASE), "MIT"),
    (re.compile(r"apache(?:\.org)?\b.*2", re.IGNORECASE), "Apache-2.0"),
    (re.compile(r"BSD-2-Clause", re.IGNORECASE), "BSD-2-Clause"),
    (re.compile(r"mit-license", re.IGNORECASE), "MIT"),
    (re.compile(r"LGPLv2\+|LGPL-2.1-or-later"), "LGPL-2.1-or-later"),
)


class LicenceError(Exception):
    """A part has no licence that ddpm may be handed out with."""


@dataclass(frozen=True)
class Part:
    """One thing that is used: a distribution, a module, a jar. `texts` are its licences and notices."""

    group: str
    name: str
    version: str
    licence: str
    texts: tuple[str, ...] = ()


def main(arguments: list[str]) -> int:
    """Write the files, or check them."""
    progress = Terminal(Console(stderr=True))
    wanted = documents(progress)
    if arguments != ["--check"]:
        for path, text in wanted.items():
            path.write_text(text, encoding="utf-8")
        return 0
    stale = [path for path, text in wanted.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        sys.stderr.write(f"{path.relative_to(ROOT)} is not what is used by now: make licences\n")
    return int(bool(stale))


def documents(progress: Progress) -> dict[Path, str]:
    """The text of each file.

    Raises:
        LicenceError: Something has a licence that is unknown, or that nobody accepted.

    """
    policy = tomllib.loads(POLICY.read_text(encoding="utf-8"))
    with TemporaryDirectory() as folder, Recogniser(Path(folder), progress) as recognise:
        modules = list(_modules(recognise, progress))
        parts = [*_distributions(recognise), *modules, *_jars(recognise, progress, policy), *_tools(policy)]
    judge(parts, policy)
    return {TABLE: _table(parts, policy), TEXTS: _texts(modules)}


def judge(parts: Iterable[Part], policy: Mapping[str, Any]) -> None:
    """Return if every part's licence is permissive or accepted for this part, and nothing else is accepted.

    Raises:
        LicenceError: Names each that is not.

    """
    problems, accepted = [], dict(policy["accepted"])
    for part in parts:
        if accepted.get(part.name, {}).get("licence") == part.licence:
            del accepted[part.name]
            continue
        names = set(re.split(r" AND | OR ", part.licence))
        if not part.licence:
            problems.append(f"{part.name} {part.version} has no licence that is recognised")
        elif not names <= set(policy["permissive"]):
            problems.append(f"{part.name} {part.version} has the licence {part.licence}, which is not accepted")
    problems += [f"{name} is accepted and not used, or not with this licence" for name in accepted]
    if problems:
        raise LicenceError("\n".join([*problems, f"look at them, then correct {POLICY.relative_to(ROOT)}"]))


class Recogniser:
    """Names licences by their texts, by google/licensecheck: one process for all, since its start costs most."""

    def __init__(self, folder: Path, progress: Progress) -> None:
        go = find_go(progress)
        program = folder / "licencecheck"
        command = [str(go.path), "build", "-trimpath", "-buildvcs=false", "-o", str(program), "."]
        subprocess.run(command, cwd=POLICY.parent, env=go.environment(), check=True)
        self._file = folder / "text"
        self._process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def licences(self, texts: Iterable[str]) -> str:
        """The expression for a part with these texts; empty when none is recognised."""
        return " AND ".join(sorted({name for text in texts for name in self._ask(text)}))

    def _ask(self, text: str) -> list[str]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._file.write_text(text, encoding="utf-8")
        self._process.stdin.write(f"{self._file}\n")
        self._process.stdin.flush()
        found: list[str] = json.loads(self._process.stdout.readline())["licences"]
        return found


def _distributions(recognise: Recogniser) -> Iterator[Part]:
    known: set[str] = set()
    for extra in ("", *EXTRAS):
        names = sorted(_closure("ddpm", {extra}) - known - {"ddpm"})
        known |= set(names)
        for name in names:
            found = distribution(name)
            yield Part(f"Python {extra}".strip(), name, found.version, _of_distribution(found, recognise))


def _closure(name: str, extras: Collection[str]) -> set[str]:
    found: dict[str, set[str]] = {}
    waiting = [(canonicalize_name(name), set(extras) | {""})]
    while waiting:
        each, asked = waiting.pop()
        new = asked - found.setdefault(each, set())
        found[each] |= new
        for text in distribution(each).requires or () if new else ():
            wanted = Requirement(text)
            if any(wanted.marker is None or wanted.marker.evaluate({"extra": extra}) for extra in new):
                waiting.append((canonicalize_name(wanted.name), wanted.extras | {""}))
    return set(found)


def _of_distribution(found: Distribution, recognise: Recogniser) -> str:
    metadata = found.metadata
    if "License-Expression" in metadata:
        return str(metadata["License-Expression"])
    said = [*metadata.get_all("License", []), *metadata.get_all("Classifier", [])]
    copyleft = _in_words(text for text in said if "GPL" in text)
    if copyleft:
        return copyleft
    files = [file for file in found.files or () if _IS_TEXT.fullmatch(file.name)]
    texts = [Path(str(file.locate())).read_text(encoding="utf-8", errors="replace") for file in files]
    return recognise.licences(texts) or _in_words(said)


def _in_words(said: Iterable[str]) -> str:
    names = {name for text in said for pattern, name in _WORDS if pattern.search(text)}
    return " AND ".join(sorted(names))


def _modules(recognise: Recogniser, progress: Progress) -> Iterator[Part]:
    go = find_go(progress)
    form = "{{with .Module}}{{.Path}}\t{{.Version}}\t{{.Dir}}\t{{$.Dir}}{{end}}"
    # The same modules on every machine: those of the image.
    env = go.environment() | {"GOOS": "linux", "GOARCH": "amd64"}
    command = [str(go.path), "list", "-deps", "-f", form, "."]
    answered = subprocess.run(
        command, cwd=ROOT / "cmd/engine", env=env, capture_output=True, text=True, check=True
    ).stdout
    texts: dict[tuple[str, str], dict[Path, None]] = {}
    for line in filter(None, answered.splitlines()):
        path, version, module, package = line.split("\t")
        if version:
            texts.setdefault((path, version), {}).update(dict.fromkeys(_texts_above(Path(package), Path(module))))
    for (path, version), files in sorted(texts.items()):
        read = tuple(file.read_text(encoding="utf-8", errors="replace") for file in sorted(files))
        yield Part("engine", path, version, recognise.licences(read), read)
        if path == "golang.org/x/sys":
            # The same authors and the same text; Debian's Go comes without one.
            yield Part("engine", "Go's own library", "", recognise.licences(read), read)


def _texts_above(package: Path, module: Path) -> Iterator[Path]:
    """The licences that hold for a package: those in its folder and in all above it, up to the module's."""
    for folder in (package, *package.parents):
        yield from (file for file in folder.iterdir() if file.is_file() and _is_text(file))
        if folder == module:
            return


def _is_text(file: Path) -> bool:
    return _IS_TEXT.fullmatch(file.name) is not None and file.suffix != ".go"


def _jars(recognise: Recogniser, progress: Progress, policy: Mapping[str, Any]) -> Iterator[Part]:
    folder = kafka_jars(progress)
    lock = ROOT / "src/ddpm/devstack/kafka.lock"
    for jar in parse_lock(lock.read_text(encoding="utf-8")):
        name = f"{jar.group}:{jar.artifact}"
        stated = policy["stated"].get(name, {}).get("licence")
        yield Part("jars", name, jar.version, stated or _of_jar(folder, jar, recognise))


def _of_jar(folder: Path, jar: Jar, recognise: Recogniser) -> str:
    with zipfile.ZipFile(folder / jar.name) as archive:

        def read(name: str) -> str:
            return archive.read(name).decode("utf-8", "replace")

        names = archive.namelist()
        manifest = re.sub(r"\r?\n ", "", read("META-INF/MANIFEST.MF"))
        said = re.findall(r"^Bundle-License: *(.+)$", manifest, re.MULTILINE)
        for name in names:
            if re.fullmatch(rf"META-INF/maven/[^/]+/{re.escape(jar.artifact)}/pom\.xml", name):
                licences = re.search(r"<licenses>(.*?)</licenses>", read(name), re.DOTALL)
                said += re.findall(r"<name>(.*?)</name>", licences[1]) if licences else []
        texts = [read(name) for name in names if re.fullmatch(r"(?:META-INF/)?LICENSE[^/]*", name)]
        return _in_words(said) or recognise.licences(texts)


def _tools(policy: Mapping[str, Any]) -> Iterator[Part]:
    for lock in ("go.lock", "java.lock"):
        pin = pinned(tool_lock(lock))
        yield Part("tools", pin.name, pin.version, policy["stated"].get(pin.name, {}).get("licence", ""))


_GROUPS = {
    "Python": "Python, always",
    "Python embedded": "Python, with the extra `embedded`",
    "Python profiling": "Python, with the extra `profiling`",
    "engine": "Linked into the engine",
    "jars": "The embedded Kafka, fetched by `ddpm run` where it is asked for",
    "tools": "Fetched where PATH has none: Go to build the engine, Java for the embedded Kafka",
}


def _table(parts: Iterable[Part], policy: Mapping[str, Any]) -> str:
    listed = list(parts)
    lines = [
        "# Licences of what ddpm uses",
        "",
        "ddpm itself is MIT. `make licences` writes this from what is installed, linked and locked, and a test keeps",
        "it true. [licences-engine.txt](licences-engine.txt) has the texts for the engine's modules: hand it on with a",
        "binary. Python distributions and jars carry their own. Both files are in the wheel, and so in an image.",
        "",
        "## Accepted for a reason",
        "",
        "| what | licence | why it is fine |",
        "|---|---|---|",
        *(f"| {name} | {each['licence']} | {each['reason']} |" for name, each in sorted(policy["accepted"].items())),
    ]
    for group, title in _GROUPS.items():
        lines += ["", f"## {title}", "", "| what | version | licence |", "|---|---|---|"]
        lines += [f"| {each.name} | {each.version} | {each.licence} |" for each in listed if each.group == group]
    lines += ["", "## Read by hand", "", "| what | licence | who says so |", "|---|---|---|"]
    lines += [f"| {name} | {each['licence']} | {each['source']} |" for name, each in sorted(policy["stated"].items())]
    return "\n".join(lines) + "\n"


def _texts(modules: Iterable[Part]) -> str:
    """Every text once, under the names of those that have it."""
    owners: dict[str, list[str]] = {}
    for part in modules:
        for text in part.texts:
            owners.setdefault(text.strip(), []).append(f"{part.name} {part.version}".strip())
    pieces = ["Licences and notices of what is linked into ddpm's engine.\n"]
    for text, names in owners.items():
        heading = "\n".join(dict.fromkeys(names))
        pieces.append(f"{'=' * 80}\n{heading}\n{'=' * 80}\n\n{text}\n")
    return "\n".join(pieces)


if __name__ == "__main__":
    os.chdir(ROOT)
    try:
        sys.exit(main(sys.argv[1:]))
    except LicenceError as error:
        sys.exit(str(error))
