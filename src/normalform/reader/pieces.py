"""Cuts tokens into pieces, minding parentheses. Decides nothing about what a piece is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .tokens import Token


def split(found: list[Token]) -> Iterator[list[Token]]:
    """Cut tokens at the semicolons that stand in no parenthesis."""
    part: list[Token] = []
    depth = 0
    for token in found:
        if token.kind == "operator" and token.text in "()[]":
            depth += 1 if token.text in "([" else -1
        if token.text == ";" and depth <= 0:
            if part:
                yield part
            part = []
        else:
            part.append(token)
    if part:
        yield part


def closing(found: Sequence[Token], at: int = 0) -> int:
    """Return where the parenthesis that opens at a place closes; the last place where it does not."""
    depth = 0
    for i in range(at, len(found)):
        depth += {"(": 1, ")": -1}.get(found[i].text, 0)
        if depth == 0:
            return i
    return len(found) - 1


def cut(found: Sequence[Token], *at: str) -> list[list[Token]]:
    """Cut tokens at these signs or words, where they stand in no parenthesis; empty parts are left out."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in found:
        if token.kind == "operator" and token.text in "()[]":
            depth += 1 if token.text in "([" else -1
        if depth == 0 and (token.text in at or token.is_word(*at)):
            parts.append([])
        else:
            parts[-1].append(token)
    return [p for p in parts if p]


def without_into(found: list[Token]) -> tuple[list[Token], list[Token]]:
    """Take ``INTO [STRICT] variables`` out of a statement; INSERT INTO and MERGE INTO stay."""
    for i, token in enumerate(found):
        if i and token.is_word("into") and not found[i - 1].is_word("insert", "merge"):
            end = i + 1
            if end < len(found) and found[end].is_word("strict"):
                end += 1
            begin = end
            while end < len(found) and found[end].name is not None:
                end += 1
                while end < len(found) and found[end].text in (".", "["):
                    end += 2 if found[end].text == "." else 3
                if end >= len(found) or found[end].text != ",":
                    break
                end += 1
            return found[begin:end], [*found[:i], *found[end:]]
    return [], found
