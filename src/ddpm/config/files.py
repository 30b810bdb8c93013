"""The checks of one pipeline that the model cannot make: its parser, and the files it names."""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import get_args

from ddpm.config import tree
from ddpm.config.certificates import certificate_findings, has_tls, with_absolute_certificates
from ddpm.config.known import did_you_mean
from ddpm.config.model import Mechanism, Model, Pipeline, ServerTls, Sink
from ddpm.config.paths import existing_file, output_file, unfit
from ddpm.config.plugins import Inspect, is_go
from ddpm.config.problems import Finding, Severity
from ddpm.config.template_hint import advice, old_placeholders
from ddpm.config.tree import Scalar, text_at

LARGEST = 1_048_576
# The mechanisms that send what proves who a client is.
_IN_CLEAR_TEXT = (Mechanism.PLAIN, Mechanism.OAUTHBEARER)


@dataclass(frozen=True, slots=True)
class ValidationContext:
    """What a pipeline is checked against.

    Attributes:
        model: What a pipeline is, with the sinks that there are.
        parsers: The built-in parsers, each with the model of its options.
        folders: Where relative paths are looked up.
        installed: The names of the parsers that installed packages bring.
        inspect: Finds out about a plugin.

    """

    model: type[Pipeline]
    parsers: Mapping[str, type[Model]]
    folders: Sequence[Path]
    installed: Collection[str] = ()
    inspect: Inspect | None = None


def read_text(path: Path) -> str:
    """The text of a file of at most 1 MiB; raises OSError, UnicodeDecodeError, and ValueError for a larger one."""
    if path.is_fifo():
        msg = "it is a pipe, which may never end"
        raise ValueError(msg)
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        msg = "it is larger than 1 MiB"
        raise ValueError(msg)
    return content.decode("utf-8")


def text_of(path: Path) -> str:
    """The text of a configuration, without a byte order mark; raises as `read_text`."""
    return read_text(path).removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")


def digest_of(text: str) -> str:
    """Names a text, to find out whether it has changed."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def reason(error: OSError | ValueError) -> str:
    """Why `read_text` failed, in a few words."""
    if isinstance(error, UnicodeDecodeError):
        return f"it is {encoding_of(error.object) or 'not UTF-8'}"
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)


def encoding_of(content: bytes) -> str | None:
    """The encoding that a byte order mark, or the zero bytes of ASCII, give away; None for any other."""
    if content.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "UTF-32"
    zeros = content[:200].count(0)
    return "UTF-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) or 4 * zeros > len(content[:200]) else None


def check(root: tree.Mapping, context: ValidationContext) -> Iterator[Finding]:
    """Findings about `source` and `pipeline_template` of one pipeline, whether or not the rest of it is valid."""
    yield from _check_source(root, context)
    yield from _check_option_files(root, context)
    yield from _check_files_of_sinks(root, context.model)
    yield from _check_certificates(root, context)
    yield from _check_server(root, context)
    template = text_at(root, "pipeline_template")
    if template is not None:
        yield from _check_template(template, context.folders)


def resolved(pipeline: Pipeline, context: ValidationContext) -> Pipeline:
    """The pipeline with absolute paths in place of relative ones; the engine's binary may also be a name on PATH."""
    paths: dict[str, Path] = {}
    if pipeline.pipeline_template:
        found = existing_file(pipeline.pipeline_template, context.folders)
        paths["pipeline_template"] = found or pipeline.pipeline_template
    if pipeline.generated_pipeline_config:
        paths["generated_pipeline_config"] = output_file(pipeline.generated_pipeline_config, context.folders)
    if pipeline.engine.binary and (found := existing_file(pipeline.engine.binary, context.folders)):
        pipeline = pipeline.model_copy(update={"engine": pipeline.engine.model_copy(update={"binary": found})})
    pipeline = with_absolute_certificates(pipeline.model_copy(update=paths), context.folders)
    return _with_option_files(pipeline, context)


def _with_option_files(pipeline: Pipeline, context: ValidationContext) -> Pipeline:
    source = pipeline.source
    options = dict(source.options)
    for name in _file_options(context.parsers.get(source.parser)):
        if isinstance(options.get(name), str):
            options[name] = str(existing_file(Path(options[name]), context.folders) or options[name])
    return pipeline.model_copy(update={"source": source.model_copy(update={"options": options})})


def parser_at(root: tree.Mapping, context: ValidationContext) -> Scalar | None:
    """The file that the parser of a pipeline is given, or else its name; None when neither is written."""
    parser = text_at(root, "source", "parser")
    names = _file_options(context.parsers.get(str(parser.value))) if parser else []
    files = (text_at(root, "source", "options", name) for name in names)
    return next((file for file in files if file is not None), parser)


def _file_options(model: type[Model] | None) -> list[str]:
    fields = model.model_fields.items() if model else ()
    return [name for name, field in fields if _names_a_file(field.annotation)]


def _names_a_file(annotation: object) -> bool:
    return annotation is Path or any(map(_names_a_file, get_args(annotation)))


def _check_option_files(root: tree.Mapping, context: ValidationContext) -> Iterator[Finding]:
    parser = text_at(root, "source", "parser")
    for name in _file_options(context.parsers.get(str(parser.value))) if parser else ():
        file = text_at(root, "source", "options", name)
        if file is None or unfit(Path(str(file.value))):
            continue  # what is unfit the model says
        if existing_file(Path(str(file.value)), context.folders) is None:
            yield _not_there(file, context)


def _not_there(file: Scalar, context: ValidationContext) -> Finding:
    looked = f"looked in {' and '.join(map(str, context.folders))}"
    return Finding("file-missing", file.at, file.path, f"the file {file.text} does not exist", looked)


def _check_files_of_sinks(root: tree.Mapping, model: type[Pipeline]) -> Iterator[Finding]:
    """The files that the fields of sinks name: the engine refuses to start without them."""
    for node, kind in _fields_of_sinks(root, model):
        entries = node.entries.items()
        usable = {key: each.node for key, each in entries if isinstance(each.node, Scalar) and not each.node.broken}
        given = {key: scalar.value for key, scalar in usable.items() if isinstance(scalar.value, str)}
        for key, message in kind.missing_files(given):
            yield Finding("file-missing", usable[key].at, usable[key].path, message)


def _check_certificates(root: tree.Mapping, context: ValidationContext) -> Iterator[Finding]:
    sinks = (node for node, kind in _fields_of_sinks(root, context.model) if has_tls(kind))
    for each in (root.get("kafka"), *sinks):
        if not isinstance(each, tree.Mapping):
            continue
        tls, mechanism = each.get("tls"), text_at(each, "sasl", "mechanism")
        if isinstance(tls, tree.Mapping):
            yield from certificate_findings(tls, context.folders)
        if mechanism is not None and mechanism.value in _IN_CLEAR_TEXT and (tls is None or _off(tls)):
            message = f"without tls {mechanism.text} sends the secret in clear text"
            hint = "set kafka.tls, or take SCRAM-SHA-512, which sends none"
            yield Finding("clear-text", mechanism.at, mechanism.path, message, hint, Severity.WARNING)


def _check_server(root: tree.Mapping, context: ValidationContext) -> Iterator[Finding]:
    server = root.get("server")
    tls = server.get("tls") if isinstance(server, tree.Mapping) else None
    if isinstance(tls, tree.Mapping):
        yield from certificate_findings(tls, context.folders, ServerTls)


def _off(tls: tree.Node) -> bool:
    return isinstance(tls, Scalar) and tls.value in (None, False)


def _fields_of_sinks(root: tree.Mapping, model: type[Pipeline]) -> Iterator[tuple[tree.Mapping, type[Sink]]]:
    for section, kind in model.sections.items():
        if isinstance(node := root.get(section), tree.Mapping):
            yield node, kind
    listed = root.get("sinks")
    for item in listed.items if isinstance(listed, tree.Sequence) else ():
        for named, entry in item.entries.items() if isinstance(item, tree.Mapping) else ():
            found = model.kind_of(named)
            if found is not None and isinstance(entry.node, tree.Mapping):
                yield entry.node, found


def _check_source(root: tree.Mapping, context: ValidationContext) -> Iterator[Finding]:
    parsers = context.parsers
    parser, plugin = text_at(root, "source", "parser"), text_at(root, "source", "plugin_path")
    go_plugin = plugin is not None and is_go(plugin)
    name = str(parser.value) if parser else "json"
    if parser and name not in parsers and (plugin is None or go_plugin) and name not in context.installed:
        every = sorted({*parsers, *context.installed})
        known = f"known: {', '.join(every)}"
        near = did_you_mean(name, every)
        hint = f"{near} {known}" if near else known
        if go_plugin:
            hint += "; a Go plugin cannot be loaded"
        yield Finding("unknown-parser", parser.at, parser.path, f'there is no parser "{parser.text}"', hint)
    elif plugin and not go_plugin and name in parsers:
        message = f'the plugin is ignored: the parser "{name}" is built in'
        hint = "remove plugin_path, or give your parser another name"
        yield Finding("plugin-ignored", plugin.at, plugin.path, message, hint, Severity.WARNING)
    elif plugin and go_plugin and name in parsers and PurePosixPath(str(plugin.value)).stem in parsers:
        message = f'the Go plugin is ignored: the parser "{name}" is built in'
        yield Finding("plugin-ignored", plugin.at, plugin.path, message, "remove plugin_path", Severity.WARNING)


def _check_template(template: Scalar, folders: Sequence[Path]) -> Iterator[Finding]:
    named = Path(str(template.value))
    if named == Path() or unfit(named):
        return  # the model says so
    path = existing_file(named, folders)
    if path is None:
        looked = "looked for it as it is" if named.is_absolute() else f"looked in {' and '.join(map(str, folders))}"
        message = f"the template {template.text} does not exist"
        yield Finding(
            "template-missing",
            template.at,
            template.path,
            message,
            f"{looked}; omit the key to use the template of ddpm",
        )
        return
    try:
        text = read_text(path)
    except (OSError, ValueError) as error:
        message = f"the template {template.text} cannot be read"
        yield Finding("file-unreadable", template.at, template.path, message, reason(error))
        return
    if placeholders := old_placeholders(text):
        message = f"the template {template.text} is of the ${{PLACEHOLDER}} style, which is not filled any more"
        yield Finding("old-template", template.at, template.path, message, advice(placeholders))
