"""The steps of a record as a person reads them."""

from rich.console import Console

from ddpm.cli.steps import answered
from ddpm.orchestrator.dryrun import read_answer


def shown(line: str, table: str | None = "orders") -> str:
    console = Console(width=40, no_color=True, force_terminal=False)
    with console.capture() as capture:
        console.print(answered(read_answer(line), "record 1", table), soft_wrap=True)
    return capture.get().removesuffix("\n")


def test_numbers_keep_their_digits_and_nothing_reaches_the_terminal_that_it_would_act_on() -> None:
    text = shown(
        '{"record":1,"size":3,"head":"G1tt","documents":[{"outcome":"written",'
        '"parsed":{"id":9007199254740993,"x":1.10,"e":1e999999999999999999999},"document":{"id":1,"u":"\\u001b[31m\\u202e"},'
        '"columns":[{"column":"id","type":"bigint","value":"9007199254740993"},{"column":"u","type":"text","value":"a\\tb\\u001b"},'
        '{"column":"n","type":"text","value":null}]}]}'
    )
    assert text == "\n".join(
        [
            "record 1: 3 bytes",
            "  0000  1b 5b 6d                                         .[m",
            "  parsed",
            "    {",
            '      "id": 9007199254740993,',
            '      "x": 1.10,',
            '      "e": 1e999999999999999999999',
            "    }",
            "  processed",
            "    {",
            '      "id": 1,',
            '      "u": "\\u001b[31m\\u202e"',
            "    }",
            "  columns of orders",
            "    id  bigint  9007199254740993",
            "    u   text    a\\tb\\x1b",
            "    n   text    NULL",
        ]
    )


def test_a_step_that_changed_nothing_is_not_repeated() -> None:
    text = shown(
        '{"record":1,"size":2,"head":"e30=","documents":[{"outcome":"written","parsed":null,"document":null}]}', None
    )
    assert text.splitlines()[2:] == ["  parsed", "    null"]


def test_reasons_indices_and_what_is_left_out_are_told() -> None:
    text = shown(
        '{"record":1,"size":999,"head":"e30=","documents":[{"index":4,"outcome":"dead_letter","parsed_bytes":"/w==",'
        '"reason":{"stage":"sink","code":"22P02","message":"bad\\nthing","column":"id"}},'
        '{"index":5,"outcome":"filtered","parsed":[]}],"left_out":3}'
    )
    assert "  document 4\n  parsed\n    (bytes) ff\n  dead letter: sink, 22P02, column id: bad\\nthing\n" in text
    assert "  filtered: nothing is written\n  … and 3 documents more, none of them a dead letter" in text
    assert "no documents" in shown('{"record":1,"size":0,"head":"","documents":[]}')
