"""Secrets stand in no rendered configuration, and the engine reads the same with them as without."""

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ddpm.component import Component
from ddpm.components import concealing
from ddpm.components.concealing import as_read
from ddpm.config.interpolate import Variables, interpolate_bloblang
from ddpm.config.model import Secret
from ddpm.errors import ConfigError
from ddpm.render import render_component

# What the engine does to the text of its configuration before it reads the YAML.
ENGINE_VARIABLE = re.compile(r"\$\{[0-9A-Za-z_.]+(:((\$\{[^}]+\})|[^}])*)?\}|\$\{\{")


def mapping(template: str, value: str) -> str:
    return interpolate_bloblang(template, Variables({"A": value}, lambda _: value)).text


def component(text: str) -> Component:
    return {"pipeline": {"processors": [{"mapping": text}, {"options": [text, 7]}]}}


@given(value=st.text(st.characters(codec="utf-8"), min_size=4), around=st.sampled_from(["$", "{", " ", "'"]))
def test_the_engine_reads_what_it_would_read_without_concealing(value: str, around: str) -> None:
    text = mapping(f'root.a = ${{A}}\nroot.b = "{around}${{A}}${{A}}{around}"\n', value)
    made = render_component(component(text), origin="x", secrets=[value])
    assert yaml.safe_load(as_read(made.text, made.env)) == component(text)
    assert not any(ENGINE_VARIABLE.search(held) for name, held in made.env.items() if name != "DDPM_HIDDEN")


@pytest.mark.parametrize(
    "value", ["hmac-key-5f1e", 'quo"te\\d', "two\nlines", "ü😀${HOME}", "-----BEGIN\n" + "abc=" * 9_000]
)
@pytest.mark.parametrize("template", ['root.h = "x".hash("hmac_sha256", "${A}")', 'root = "${A}" + ${A}'])
def test_no_secret_stands_in_what_is_rendered(value: str, template: str) -> None:
    text = mapping(template, value)
    made = render_component(component(text), origin="x", secrets=[value])
    assert value not in str(yaml.safe_load(made.text))
    assert "abc=abc=" not in made.text
    assert "${DDPM_VALUE_1}" in made.text
    assert yaml.safe_load(as_read(made.text, made.env)) == component(text)
    # The system takes 128 KiB in one variable.
    assert all(len(held.encode()) < 128 * 1024 for held in made.env.values())


@pytest.mark.parametrize("value", ["pw", "https://u:hunter2@h/x", "a-token-of-sixteen", 'a"b${X}'])
def test_a_field_that_is_a_secret_is_concealed_whatever_it_holds(value: str) -> None:
    made = render_component({"output": {"http": {"url": Secret(value), "retries": 0}}}, origin="x")
    assert yaml.safe_load(made.text) == {"output": {"http": {"url": "${DDPM_VALUE_1}", "retries": 0}}}
    assert yaml.safe_load(as_read(made.text, made.env)) == {"output": {"http": {"url": value, "retries": 0}}}


def test_what_is_not_secret_stays_as_it_was() -> None:
    made = render_component(component("root = this"), origin="x", secrets=["elsewhere"])
    assert made.text == render_component(component("root = this"), origin="x").text
    assert made.env == {}


def test_more_than_an_environment_takes_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concealing, "_MOST_BYTES", 1_000)
    value = "".join(f"{number:010}" for number in range(110))
    with pytest.raises(ConfigError, match="1100 bytes, more than 1000") as raised:
        render_component(component(f"root = {value}"), origin="x", secrets=[value])
    assert "file(" in (raised.value.hint or "")
