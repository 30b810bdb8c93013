"""The codes of problems: what each means, and the way out; docs/problems.md and `ddpm explain` show it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Code = Literal[
    "bad-interpolation",
    "clear-text",
    "duplicate-case",
    "duplicate-key",
    "duplicate-pipeline",
    "empty-file",
    "file-missing",
    "file-unreadable",
    "invalid-file",
    "invalid-value",
    "launcher-unfit",
    "mapping",
    "missing-field",
    "no-pipeline",
    "no-table",
    "nothing-to-remove",
    "old-template",
    "parser",
    "plugin-broken",
    "plugin-ignored",
    "process-wide",
    "shared-consumer-group",
    "shared-generated-config",
    "shared-table",
    "template",
    "template-missing",
    "unknown-column",
    "unknown-field",
    "unknown-parser",
    "unsafe-tag",
    "unset-variable",
    "workers-ignored",
    "wrong-type",
    "yaml-syntax",
]


@dataclass(frozen=True, slots=True)
class About:
    """What a code means.

    Attributes:
        cause: What is wrong, and why ddpm minds.
        cure: What to do.
        example: A configuration that has the problem, where a file alone can have it.

    """

    cause: str
    cure: str
    example: str = ""


# What the examples have in common.
_REST = """\
  kafka: {brokers: ["localhost:9092"], topics: [orders], consumer_group: shop}
  postgres: {url: "postgresql://loader@localhost/shop", table: orders}
"""
_APP = f"app:\n{_REST}"

CODES: Mapping[Code, About] = {
    "bad-interpolation": About(
        "`${…}` stands for a variable or a file, and what is between the braces is neither.",
        "Write `${NAME}`, `${NAME:-default}` or `${file:/path}`; `$${` is the text `${` itself.",
        f"{_APP}  logger: {{level: '${{LOG LEVEL}}'}}\n",
    ),
    "clear-text": About(
        "A secret is sent, or stands, where others can read it: a warning.",
        "Let the address use TLS, or bring the secret in by `${NAME}` or `${file:/path}`.",
    ),
    "duplicate-case": About(
        "Two cases of `ddpm test` have one name, by which their results are shown.",
        "Name each differently.",
    ),
    "duplicate-key": About(
        "A key is there twice in one section; YAML would silently take the last one.",
        "Remove one of them.",
        f"{_APP}  replicas: 1\n  replicas: 2\n",
    ),
    "duplicate-pipeline": About(
        "Two pipelines have one name, by which groups, metrics and commands know them.",
        "Give each a name of its own.",
    ),
    "empty-file": About(
        "There is nothing in the file, or only comments; or no file in the folder.",
        "`ddpm init` writes a configuration to begin with.",
        "# nothing yet\n",
    ),
    "file-missing": About(
        "A file that is named does not exist where it is looked for: from the folder of the file that names it, then "
        "from where ddpm was started.",
        "Correct the path, or make the file.",
        "app:\n"
        "  kafka: {brokers: ['b:9093'], topics: [orders], consumer_group: shop, tls: {ca: nowhere.pem}}\n"
        "  postgres: {url: embedded, table: orders}\n",
    ),
    "file-unreadable": About(
        "A file that is named is there and cannot be read: its rights, a folder in its place, or bytes that are "
        "no text.",
        "Let ddpm's user read it, or name another file.",
    ),
    "invalid-file": About(
        "A file holds something else than its key asks for: no certificate or key in PEM, a key that is encrypted, one "
        "that does not belong to the certificate.",
        "The message says which; `openssl x509 -in FILE -noout -text` shows a certificate.",
    ),
    "invalid-value": About(
        "A value is of the right kind and cannot be used: out of its bounds, not one of the choices, or in conflict "
        "with another key.",
        "The message says what is taken; docs/configuration.md has every key.",
        f"{_APP}  replicas: 0\n",
    ),
    "launcher-unfit": About(
        "The parser needs what engines of this `engine.launcher` do not have, such as a Python function in a "
        "container.",
        "Use `launcher: process`, or a parser that runs within the engine.",
    ),
    "mapping": About(
        "A mapping or filter in Bloblang cannot be read by the engine.",
        "Correct it at the place that is shown; `ddpm parse` shows what a mapping makes of a record.",
    ),
    "missing-field": About(
        "A key that is needed is not there.",
        "Add it; the message has an example.",
        'app:\n  kafka: {brokers: ["localhost:9092"], topics: [orders]}\n',
    ),
    "no-pipeline": About(
        "The section `pipelines` is there and names none.",
        "Name one, or omit the section to have `app` describe the only one.",
        f"{_APP}pipelines: {{}}\n",
    ),
    "no-table": About(
        "A case of `ddpm test` expects rows, and the pipeline has no table.",
        "Expect documents, or add a sink with a table.",
    ),
    "nothing-to-remove": About(
        "An overlay, or `--set`, removes a key by null, and there is no such key: a warning.",
        "Correct the key's name, or omit it.",
    ),
    "old-template": About(
        "A pipeline template is one of an earlier ddpm and lacks what engines need by now: a warning.",
        "Omit `pipeline_template` to use the template of this ddpm, or take over what the message names.",
    ),
    "parser": About(
        "The parser cannot begin its work with what `source.options` gives it, such as a schema with a mistake.",
        "Correct the file that the place names; `ddpm parse` tries a parser on a record.",
    ),
    "plugin-broken": About(
        "A parser of one's own cannot be used: it cannot be imported, has no function of that name, or does not say "
        "which options it has.",
        "Correct it; `ddpm plugins describe` shows what ddpm sees of it.",
    ),
    "plugin-ignored": About(
        "`plugin_path` is given and not used, since `parser` names a parser of ddpm's: a warning.",
        "Omit one of the two.",
    ),
    "process-wide": About(
        "`server`, `logger` and `metrics` concern the whole process and cannot differ between pipelines.",
        "Put the section under `app`.",
        f"{_APP}pipelines:\n  orders: {{logger: {{level: DEBUG}}}}\n",
    ),
    "shared-consumer-group": About(
        "Two pipelines read with one consumer group, so each would get only a part of the records.",
        "Give each a group of its own, or omit the key: ddpm then makes one up for each.",
        f"{_APP}pipelines:\n  a: {{postgres: {{table: a}}, kafka: {{consumer_group: g}}}}\n"
        "  b: {postgres: {table: b}, kafka: {consumer_group: g}}\n",
    ),
    "shared-generated-config": About(
        "Two pipelines would write their engine's configuration into one file.",
        "Name each file differently, or omit the key.",
        f"{_APP}pipelines:\n  a: {{postgres: {{table: a}}, generated_pipeline_config: x.yaml}}\n"
        "  b: {postgres: {table: b}, generated_pipeline_config: x.yaml}\n",
    ),
    "shared-table": About(
        "Two pipelines write the records of one topic into one table: their rows have the same identity, and one of "
        "them would be lost.",
        "Give each a table of its own, or let them read different topics.",
        f"{_APP}pipelines:\n  a: {{}}\n  b: {{}}\n",
    ),
    "template": About(
        "A pipeline template has a mistake: it is not jinja2, does not render to YAML, or the engine does not accept "
        "what it renders. The place is the line of the template that it comes from.",
        "Correct the template there; `ddpm render` prints what becomes of it.",
    ),
    "template-missing": About(
        "The pipeline template that is named does not exist.",
        "Correct the path, or omit `pipeline_template` to use the one that ships with ddpm.",
        f"{_APP}  pipeline_template: nowhere.yaml\n",
    ),
    "unknown-column": About(
        "A case of `ddpm test` expects a column that the table does not have.",
        "Correct its name, or add the column to `columns`.",
    ),
    "unknown-field": About(
        "There is no such key at this place; a typing error would otherwise go unnoticed.",
        "The message names the key that was probably meant, or the section that it belongs to.",
        f"{_APP}  replica: 2\n",
    ),
    "unknown-parser": About(
        "There is no parser of this name.",
        "`ddpm plugins list` shows those that there are; one's own is named by `plugin_path`.",
        f"{_APP}  source: {{parser: jsno}}\n",
    ),
    "unsafe-tag": About(
        "A YAML tag asks for an object of a programming language, which could run code.",
        "Write plain YAML.",
        f"{_APP}  name: !!python/name:os.system ''\n",
    ),
    "unset-variable": About(
        "`${NAME}` names a variable that is neither in the environment nor has a default.",
        "Set it, or write `${NAME:-default}`.",
        f"{_APP}  name: ${{NO_SUCH_VARIABLE_ANYWHERE}}\n",
    ),
    "workers-ignored": About(
        "`workers` is given to a parser that has none: a warning.",
        "Omit it.",
    ),
    "wrong-type": About(
        "A value is of another kind than the key takes: a text for a number, one value for a list.",
        "The message says how to write it.",
        f'{_APP}  replicas: "2"\n',
    ),
    "yaml-syntax": About(
        "The file is not YAML, or not UTF-8.",
        "Correct it at the place that is shown; most often an indentation, a quote or a colon.",
        "app: {kafka: [\n",
    ),
}
