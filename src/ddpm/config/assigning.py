"""One value put into a tree, at the end of keys and indices. Pure."""

from dataclasses import dataclass

from ddpm.config.known import did_you_mean
from ddpm.config.problems import Place
from ddpm.config.reading import path_of
from ddpm.config.several import by_name
from ddpm.config.tree import Mapping, Node, Scalar, Sequence, Step

TOP = ("app", "pipelines")


class BadPathError(Exception):
    """A key or an index leads nowhere: why, and the way out."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class NothingToRemoveError(BadPathError):
    """What is to be removed is not there; the hint is a suggestion."""


def put(top: Mapping, steps: tuple[Step, ...], value: Node, at: Place) -> Mapping:
    """The tree with one value set, or without the key where the value is null.

    Sections on the way that are not there are made; whether they may be is the model's to say.

    Args:
        top: The keys `app` and `pipelines`.
        steps: The keys and indices that lead to the value.
        value: What is put there.
        at: Where new keys stand.

    Raises:
        BadPathError: They lead nowhere.
        NothingToRemoveError: A key is to be removed that is not there.

    """
    changed = _Assigning(value, at).node(top, steps, ())
    return changed if isinstance(changed, Mapping) else top


def is_empty(node: Node) -> bool:
    """Whether nothing, or null, is written there."""
    return isinstance(node, Scalar) and node.value is None and node.plain and not node.broken


@dataclass(frozen=True, slots=True)
class _Assigning:
    value: Node
    at: Place

    def node(self, node: Node, steps: tuple[Step, ...], above: tuple[Step, ...]) -> Node:
        if not steps:
            return self.value
        step, rest = steps[0], steps[1:]
        if isinstance(step, int):
            return self._in_list(node, step, rest, above)
        node = Mapping(path_of(above), self.at) if is_empty(node) else by_name(node)
        if isinstance(node, Mapping):
            return self._in_mapping(node, steps, above)
        path, listed = path_of(above), isinstance(node, Sequence)
        message = f"{path} is {'a list' if listed else 'one value'}, which has no keys"
        raise BadPathError(message, f"name an item of it by its number: {path}[0]" if listed else None)

    def _in_mapping(self, node: Mapping, steps: tuple[Step, ...], above: tuple[Step, ...]) -> Mapping:
        taken, key = _longest_key(node, steps)
        rest = steps[taken:]
        entry = node.entries.get(key)
        if not above and key not in TOP:
            hint = did_you_mean(key, TOP) or "the path of a key begins with app. or pipelines.NAME."
            raise BadPathError("unknown field", hint)
        if above == ("pipelines",) and entry is None and rest:
            hint = did_you_mean(key, node.entries) or f"there are: {', '.join(node.entries)}"
            raise BadPathError(f'there is no pipeline "{key}"', hint)
        if not rest and is_empty(self.value):
            if entry is None:
                raise NothingToRemoveError("this key is not there", did_you_mean(key, node.entries))
            return node.without(key)
        below = entry.node if entry else _nothing((*above, key), self.at)
        made = self.node(below, rest, (*above, key))
        return node.having(key, made, entry.at if entry and rest else self.at)

    def _in_list(self, node: Node, index: int, rest: tuple[Step, ...], above: tuple[Step, ...]) -> Node:
        path = path_of(above)
        if not isinstance(node, Sequence) and not is_empty(node):
            raise BadPathError(f"{path} is not a list", f"name a key of it, or set {path} as a whole")
        items = list(node.items) if isinstance(node, Sequence) else []
        if index > len(items):
            raise BadPathError(f"{path} has no item [{index}]", f"the next one is {path}[{len(items)}]")
        below = items[index] if index < len(items) else _nothing((*above, index), self.at)
        items[index : index + 1] = [self.node(below, rest, (*above, index))]
        return Sequence(path, node.at if isinstance(node, Sequence) else self.at, tuple(items))


def _nothing(steps: tuple[Step, ...], at: Place) -> Scalar:
    return Scalar(path_of(steps), at, (0, 0), None, "", plain=True)


def _longest_key(node: Mapping, steps: tuple[Step, ...]) -> tuple[int, str]:
    """How many steps make a key that is there, which may have dots in it, and that key; else the first step."""
    end = next((index for index, step in enumerate(steps) if isinstance(step, int)), len(steps))
    for taken in range(end, 0, -1):
        key = ".".join(map(str, steps[:taken]))
        if key in node.entries:
            return taken, key
    return 1, str(steps[0])
