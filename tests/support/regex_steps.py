"""Counts the steps of a regular expression: a small backtracking matcher over the tree that Python's own parser makes.

Times say nothing on a busy machine, and Python's matcher does not count. This one tries the same alternatives in the
same order: where it takes quadratic steps, Python's takes quadratic time.
"""

import random
import re
from collections.abc import Iterator
from re import _constants as ops  # type: ignore[attr-defined, unused-ignore]
from re import _parser as parser  # type: ignore[attr-defined, unused-ignore]
from typing import Any

_ONE_CHARACTER = frozenset({ops.LITERAL, ops.NOT_LITERAL, ops.IN, ops.ANY})
_SAMPLES = {
    ops.CATEGORY_SPACE: " \n",
    ops.CATEGORY_DIGIT: "0479",
    ops.CATEGORY_WORD: "aZ_5",
    ops.CATEGORY_NOT_SPACE: "a1=",
}
_CATEGORIES = {
    ops.CATEGORY_SPACE: re.compile(r"\s"),
    ops.CATEGORY_NOT_SPACE: re.compile(r"\S"),
    ops.CATEGORY_DIGIT: re.compile(r"\d"),
    ops.CATEGORY_WORD: re.compile(r"\w"),
}


class CountingMatcher:
    """`steps` grows with every character that is compared, and with every position that is tried."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.steps = 0
        self._tree = parser.parse(pattern.pattern, pattern.flags)
        self._dot_all = bool(pattern.flags & re.DOTALL)
        self._text = ""
        self._groups: dict[int, tuple[int, int]] = {}

    def spans(self, text: str) -> list[tuple[int, int]]:
        """What `finditer` finds."""
        self._text = text
        found = []
        position = 0
        while position <= len(text):
            self.steps += 1
            self._groups = {}
            end = next(self._sequence(self._tree, 0, position), None)
            if end is None:
                position += 1
                continue
            found.append((position, end))
            position = end if end > position else position + 1
        return found

    def _sequence(self, items: Any, index: int, position: int) -> Iterator[int]:
        if index == len(items):
            yield position
            return
        for end in self._item(items[index], position):
            yield from self._sequence(items, index + 1, end)

    def _item(self, item: Any, position: int) -> Iterator[int]:
        op, argument = item
        if op in _ONE_CHARACTER:
            if self._takes(item, position):
                yield position + 1
        elif op in (ops.MAX_REPEAT, ops.POSSESSIVE_REPEAT):
            yield from self._repeated(argument, position, op is ops.POSSESSIVE_REPEAT)
        elif op in (ops.ASSERT, ops.ASSERT_NOT, ops.AT):
            if self._holds(op, argument, position):
                yield position
        elif op is ops.BRANCH:
            for branch in argument[1]:
                yield from self._sequence(branch, 0, position)
        elif op is ops.SUBPATTERN:
            yield from self._group(argument, position)
        elif op is ops.GROUPREF:
            yield from self._same(argument, position)
        else:
            raise NotImplementedError(f"{op}: teach the counter")

    def _same(self, group: int, position: int) -> Iterator[int]:
        start, end = self._groups.get(group, (0, -1))
        self.steps += max(0, end - start)
        if end >= start and self._text.startswith(self._text[start:end], position):
            yield position + end - start

    def _group(self, argument: Any, position: int) -> Iterator[int]:
        number, _, _, body = argument
        for end in self._sequence(body, 0, position):
            if number is not None:
                self._groups[number] = (position, end)
            yield end

    def _holds(self, op: Any, argument: Any, position: int) -> bool:
        if op is ops.AT:
            self.steps += 1
            return bool(position == (len(self._text) if argument is ops.AT_END_STRING else 0))
        direction, body = argument
        if direction < 0:
            position -= body.getwidth()[0]
        found = position >= 0 and next(self._sequence(body, 0, position), None) is not None
        return found is (op is ops.ASSERT)

    def _repeated(self, argument: Any, position: int, possessive: bool) -> Iterator[int]:
        """Ends from the longest to the shortest; a possessive one has only the longest."""
        least, most, body = argument
        ends = [position]
        while most is ops.MAXREPEAT or len(ends) <= most:
            if possessive or (len(body) == 1 and body[0][0] in _ONE_CHARACTER):
                end = next(self._sequence(body, 0, ends[-1]), None)
                if end is None or end == ends[-1]:
                    break
                ends.append(end)
            else:
                yield from self._nested(body, least, most, position, 0)
                return
        if len(ends) - 1 < least:
            return
        yield from [ends[-1]] if possessive else reversed(ends[least:])

    def _nested(self, body: Any, least: int, most: Any, position: int, done: int) -> Iterator[int]:
        if most is ops.MAXREPEAT or done < most:
            for end in self._sequence(body, 0, position):
                if end > position:
                    yield from self._nested(body, least, most, end, done + 1)
        if done >= least:
            yield position

    def _takes(self, item: Any, position: int) -> bool:
        self.steps += 1
        if position >= len(self._text):
            return False
        op, argument = item
        character = self._text[position]
        if op is ops.LITERAL:
            return character == chr(argument)
        if op is ops.NOT_LITERAL:
            return character != chr(argument)
        if op is ops.ANY:
            return self._dot_all or character != "\n"
        return _is_in(argument, character)


def _is_in(members: Any, character: str) -> bool:
    negated = members[0][0] is ops.NEGATE
    for op, argument in members[1:] if negated else members:
        if op is ops.LITERAL and character == chr(argument):
            return not negated
        if op is ops.RANGE and argument[0] <= ord(character) <= argument[1]:
            return not negated
        if op is ops.CATEGORY and _CATEGORIES[argument].match(character):
            return not negated
    return negated


def sample(pattern: re.Pattern[str], choose: random.Random) -> str:
    """A text that the pattern may take, but for what its assertions say."""
    return _sampled(parser.parse(pattern.pattern, pattern.flags), choose)


def _sampled(items: Any, choose: random.Random) -> str:
    return "".join(_sampled_item(op, argument, choose) for op, argument in items)


def _sampled_item(op: Any, argument: Any, choose: random.Random) -> str:
    if op is ops.LITERAL:
        return chr(argument)
    if op is ops.BRANCH:
        return _sampled(choose.choice(argument[1]), choose)
    if op is ops.SUBPATTERN:
        return _sampled(argument[3], choose)
    if op in (ops.MAX_REPEAT, ops.POSSESSIVE_REPEAT):
        least, most, body = argument
        times = choose.randint(least, min(int(most), least + 3))
        return "".join(_sampled(body, choose) for _ in range(times))
    if op is ops.IN:
        return _sampled_member(argument, choose)
    if op in (ops.ANY, ops.NOT_LITERAL):
        return choose.choice("a \\")
    return ""


def _sampled_member(members: Any, choose: random.Random) -> str:
    if members[0][0] is ops.NEGATE:
        return next(character for character in choose.sample("a.:=-@/\\ \"'\n1", 13) if _is_in(members, character))
    op, argument = choose.choice(members)
    if op is ops.RANGE:
        return chr(choose.randint(*argument))
    return chr(argument) if op is ops.LITERAL else choose.choice(_SAMPLES[argument])
