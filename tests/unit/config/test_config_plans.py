"""What a plan shows of a change, and what makes it stale."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ddpm.config.model import Config
from ddpm.observability.masking import Masker
from ddpm.orchestrator.provisioning.planned import Step
from ddpm.orchestrator.run.comparing import Fingerprint, fingerprints
from ddpm.orchestrator.run.plan import KEPT_PLANS, PipelinePlan, Plan, Plans, StalePlanError, differences
from unit.config.folder import Folder

TEXT = """\
app:
  kafka: {brokers: ["b:1"], topics: [orders], consumer_group: g}
  postgres: {url: "postgresql://u:hunter2@h/d", table: orders}
  processors: [{mapping: 'root = file("lookup.txt").string()'}]
"""

ONE = Fingerprint("1", "", "", "", ())
MADE = Step("topic", "create the topic orders", "none")


def shown(before: Config, now: Config) -> list[tuple[str, str]]:
    (old,), (new,) = before.pipelines, now.pipelines
    prints = fingerprints(before)[old.name], fingerprints(now)[new.name]
    masker = Masker((*before.secrets, *now.secrets))
    return [(each.text, each.detail) for each in differences(old, new, *prints, masker)]


@pytest.mark.parametrize(
    ("edit", "text", "detail"),
    [
        (
            lambda text: text.replace("table: orders", "table: others"),
            "its keys differ",
            "@@ -8,3 +8,3 @@\n   url: postgresql://u:***@h/d\n-  table: orders\n+  table: others\n processors:",
        ),
        (lambda text: text.replace("hunter2", "hunter3"), "a secret has another value", ""),
    ],
)
def test_what_differs_is_shown_without_secrets(
    folder: Folder, edit: Callable[[str], str], text: str, detail: str
) -> None:
    folder.write("1", "lookup.txt")
    before = folder.load(TEXT).config
    assert shown(before, folder.load(edit(TEXT)).config) == [(text, detail)]


@pytest.mark.parametrize("secret", ["@it's: s3cret#", "a: b\x07ell\N{PARTY POPPER}"])
def test_a_secret_is_not_shown_as_yaml_would_write_it(folder: Folder, secret: str) -> None:
    folder.write(secret, "secret")
    text = TEXT.replace("group: g", "group: g, topic_configs: {a: '${file:secret}'}")
    folder.write("1", "lookup.txt")
    before, now = folder.load(text), folder.load(text.replace("{a:", "{b:"))
    (_, detail), *_ = shown(before.config, now.config)
    assert "+    b: '***'" in detail.splitlines()


def plan(**changes: Any) -> Plan:
    steps = (PipelinePlan("orders", "added", (MADE,)),)
    return replace(Plan("", "wanted", steps, after=(("orders", ONE),)), **changes)


def test_the_same_plan_can_be_carried_out() -> None:
    plans = Plans()
    made = plans.keep(plan())
    plans.require(made.hash, plan())


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (plan(after=(("orders", replace(ONE, keys="2")),)), "orders was edited since"),
        (plan(before=(("orders", ONE),)), "orders runs otherwise since"),
        (plan(pipelines=(PipelinePlan("orders", "added"),)), 'orders has no "create the topic orders" any more'),
        (
            plan(pipelines=(PipelinePlan("orders", "added", (MADE, replace(MADE, text="grow it"))),)),
            'orders has "grow it" by now',
        ),
        (plan(process=(MADE,)), "what changes of ddpm itself is something else"),
        (plan(obstacles=(MADE,)), "what stands in its way is something else"),
    ],
)
def test_a_stale_plan_says_what_moved(now: Plan, said: str) -> None:
    plans = Plans()
    made = plans.keep(plan())
    with pytest.raises(StalePlanError, match=rf"the plan {made.hash} is stale: {said}\n"):
        plans.require(made.hash, now)


def test_a_plan_that_nobody_made_is_refused() -> None:
    plans = Plans()
    first = plans.keep(plan())
    for number in range(KEPT_PLANS):
        plans.keep(plan(wanted=str(number)))
    with pytest.raises(StalePlanError, match=f"has made no plan {first.hash}"):
        plans.require(first.hash, plan(wanted="another"))


def test_keys_of_sinks_are_compared_too(folder: Folder) -> None:
    folder.write("1", "lookup.txt")
    text = TEXT + "  sinks: [{kafka: {topic: copy}}]\n"
    ((said, detail),) = shown(folder.load(text).config, folder.load(text.replace("copy", "others")).config)
    assert said == "its keys differ"
    assert "-    topic: copy\n+    topic: others" in detail
