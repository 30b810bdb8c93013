"""Apache Avro, in its three forms."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from ddpm.component import Component
from ddpm.components.parsers.parser import Parser, SchemaRegistry
from ddpm.config.address import web_fault
from ddpm.config.model import FilePath, Model, Password, Secret, broken_rule
from ddpm.contract import Env

# Which framing an option is for; without those that are needed it cannot be read.
_FRAMINGS = {
    "schema_file": "datum",
    "registry": "confluent",
    "registry_ca": "confluent",
    "registry_token": "confluent",
}
_NEEDED = ("schema_file", "registry")


def _registry(url: Secret) -> Secret:
    fault = web_fault(url)
    if fault:
        msg = f"not the address of a schema registry: {fault}; write for example http://localhost:8081"
        raise ValueError(msg)
    return url


class Avro(Model):
    """Which of Avro's three forms a record has, and where its schema is."""

    framing: Literal["file", "datum", "confluent"] = Field(
        default="file",
        description="file: a record is an object container file of many values; datum: one value without its schema; "
        "confluent: one value behind the number of its schema in a registry",
    )
    schema_file: FilePath | None = Field(default=None, description="datum: the schema that wrote the values, an .avsc")
    registry: Annotated[Secret, AfterValidator(_registry)] | None = Field(
        default=None, description="confluent: the schema registry's address; it may hold a user and a password"
    )
    registry_ca: FilePath | None = Field(
        default=None,
        description="confluent: certificates in PEM of which one signed the registry's, in place of the system's",
    )
    registry_token: Password | None = Field(
        default=None, description="confluent: what the registry asks for as a bearer token"
    )

    @model_validator(mode="after")
    def _options_fit_framing(self) -> "Avro":
        for option, framing in _FRAMINGS.items():
            given = getattr(self, option) is not None
            if given and self.framing != framing:
                raise broken_rule(f"`{option}` is for framing: {framing}; this is framing: {self.framing}", option)
            if self.framing == framing and not given and option in _NEEDED:
                raise broken_rule(f"framing: {framing} needs `{option}`", "framing")
        return self


def _avro(options: Avro) -> Component:
    if options.framing == "datum":
        return {"ddpm_avro_datum": {"schema_file": str(options.schema_file)}}
    if options.framing == "confluent":
        return {
            "ddpm_avro_registry": {
                "registry_env": Env.SCHEMA_REGISTRY,
                **({"token_env": Env.REGISTRY_TOKEN} if options.registry_token else {}),
                **({"ca_file": str(options.registry_ca)} if options.registry_ca else {}),
            }
        }
    return {"ddpm_avro_file": {}}


def _avro_secrets(options: Avro) -> dict[str, str]:
    given = {Env.SCHEMA_REGISTRY: options.registry, Env.REGISTRY_TOKEN: options.registry_token}
    return {variable: secret.revealed for variable, secret in given.items() if secret is not None}


def _registry_of(options: Avro) -> SchemaRegistry | None:
    if options.registry is None:
        return None
    return SchemaRegistry(options.registry, options.registry_ca, options.registry_token)


AVRO = Parser(
    "avro",
    "Apache Avro: container files, single values, or values of a schema registry",
    Avro,
    _avro,
    lambda options: options.framing == "file",
    secrets=_avro_secrets,
    registry=_registry_of,
)
