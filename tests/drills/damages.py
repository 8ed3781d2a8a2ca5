"""Ways to damage a file, all drawn from a random number generator."""

import re
from collections.abc import Callable

import numpy as np

_Generator = np.random.Generator
_NUMBER = re.compile(rb"-?\d+\.?\d*(?:[eE][-+]?\d+)?")
_WRONG_TEXTS = (
    b"warm",
    b"nan",
    b"-inf",
    b"1e999",
    b"-1",
    b"99999999999999999999",
    b"[]",
    b"null",
    b"{a: 1}",
    b'"',
    b"\x07",
    b"",
    b"!!python/name:os.system",
)


def _block(content: bytes, generator: _Generator) -> slice:
    start = int(generator.integers(len(content)))
    return slice(start, start + int(generator.integers(1, 1 + max(8, len(content) // 8))))


def _flip(content: bytes, generator: _Generator) -> bytes:
    changed = bytearray(content)
    for place in generator.integers(len(content), size=int(generator.integers(1, 4))):
        changed[place] ^= 1 << int(generator.integers(8))
    return bytes(changed)


def _cut(content: bytes, generator: _Generator) -> bytes:
    return content[: int(generator.integers(len(content)))]


def _zero(content: bytes, generator: _Generator) -> bytes:
    block = _block(content, generator)
    return content[: block.start] + bytes(len(content[block])) + content[block.stop :]


def _repeat(content: bytes, generator: _Generator) -> bytes:
    block = _block(content, generator)
    return content[: block.stop] + content[block] + content[block.stop :]


def _mistype(content: bytes, generator: _Generator) -> bytes:
    """Write something else in the place of a number."""
    numbers = list(_NUMBER.finditer(content))
    if not numbers:
        return content + b"warm"
    found = numbers[int(generator.integers(len(numbers)))]
    text = _WRONG_TEXTS[int(generator.integers(len(_WRONG_TEXTS)))]
    return content[: found.start()] + text + content[found.end() :]


DAMAGES: dict[str, Callable[[bytes, _Generator], bytes]] = {
    "flip": _flip,
    "cut": _cut,
    "zero": _zero,
    "repeat": _repeat,
    "mistype": _mistype,
}


def damaged(content: bytes, how: str, generator: _Generator) -> bytes:
    """Content of a file after one kind of damage."""
    return DAMAGES[how](content, generator)


def differ_in_numbers_alone(before: bytes, after: bytes) -> bool:
    """Whether two texts have the same words, but for numbers in the same places."""
    return _NUMBER.sub(b"0", before) == _NUMBER.sub(b"0", after)
