"""Dead letters in the console of a real ddpm: what a person sees, puts aside and replays."""

from pathlib import Path

from browser.page import Page
from ddpm.broker.produce import Record
from harness.process import Ddpm
from harness.waiting import eventually
from harness.world import World, json_records

CARD = ".card-letters"


def test_letters_are_discarded_and_replayed_from_the_page(world: World, page: Page, tmp_path: Path) -> None:
    world.execute(
        f'create table "{world.table}" (source int not null, partition int not null, "offset" bigint not null,'
        ' n integer constraint small check (n < 100), primary key (source, partition, "offset"))'
    )
    with Ddpm(world.config(postgres={"columns": {"n": "integer"}}), tmp_path) as running:
        running.wait_healthy()
        world.produce([*json_records([{"n": number} for number in range(95, 105)]), Record(b"{<b>x", b"k")])
        page.open(f"{running.url.removesuffix('/health')}/#/pipelines/pipeline")
        page.sees("6 open", CARD)
        page.sees("6 open", ".tiles")
        page.click(page.all(".reason-toggle")[1])
        page.click(page.one(".letter"))
        page.sees("{<b>x", "dialog pre[aria-label=Value]")
        page.click(page.one("dialog [data-deed=discard]"))
        page.click(page.one("dialog [type=submit]"))
        page.sees("5 open · 1 discarded", CARD)

        world.execute(f'alter table "{world.table}" drop constraint small')
        page.press("Replay all")
        page.sees("Replay all 5 open dead letters?", "dialog")
        page.click(page.one("dialog [type=submit]"))
        page.sees("is done: 5 landed, 0 failed again", CARD)
        page.sees("None is open.", CARD)
        page.sees("0 open · 5 replayed · 1 discarded", CARD)
        eventually(lambda: sorted(row["n"] for row in world.rows()) == list(range(95, 105)), "every row is there")
        page.leave()
        assert running.stop() == 0
