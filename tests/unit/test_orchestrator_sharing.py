"""What only the servers know of two pipelines that share a topic and a table."""

import pytest

from ddpm.errors import ConfigError
from ddpm.orchestrator.provisioning.provision import Provisioned, check_sharing
from ddpm.orchestrator.run.pipeline import Tables

TABLE = ("2026-11-25 10:00:00+00", "5", "16400")


def test_one_table_by_two_addresses_is_refused_when_both_write_one_topic_into_it() -> None:
    first, second = Provisioned({"a": 1, "b": 2}, 1, table=TABLE), Provisioned({"b": 2, "c": 3}, 1, table=TABLE)
    with pytest.raises(ConfigError, match="the pipelines eu and us write the topic b into one table"):
        check_sharing({"eu": first, "us": second})


def test_other_tables_other_topics_and_no_tables_are_fine() -> None:
    first, other = Provisioned({"a": 1}, 1, table=TABLE), Provisioned({"a": 1}, 1, table=(*TABLE[:2], "16401"))
    check_sharing({"a": first, "b": other, "c": Provisioned({"c": 3}, 1, table=TABLE)})
    check_sharing({"a": Provisioned({}, 1), "b": Provisioned({}, 1)})


def test_a_topic_that_was_made_again_is_still_shared() -> None:
    tables = Tables()
    tables.take("eu", Provisioned({"a": 1}, 1, table=TABLE))
    again = Provisioned({"a": 2}, 1, table=TABLE)
    tables.take("eu", again)
    assert tables.newest("eu") is again, "letters of the present topic are replayed under its number"
    with pytest.raises(ConfigError, match="the pipelines eu and us"):
        tables.take("us", again)
