"""Counts in words, with the noun in the right number; used wherever a person reads one."""


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """So many things: `1 row`, `1,234 rows`; `plural` for a noun that does not only take an s."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
