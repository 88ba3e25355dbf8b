"""Privileges as the server prints them."""

from __future__ import annotations

import pytest

from normalform.sql.columns import parse_acl


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("=r/owner", ("", (("r", False),))),
        ("app=ra*w/owner", ("app", (("r", False), ("a", True), ("w", False)))),
        ('"we=ird ""role"""=x*/"ow/ner"', ('we=ird "role"', (("x", True),))),
        ("none=/owner", ("none", ())),
    ],
)
def test_an_aclitem(entry: str, expected: object) -> None:
    assert parse_acl(entry) == expected


@pytest.mark.parametrize("entry", ["", "app", "app=r", '"open=r/x', '"open"r/x'])
def test_what_is_no_aclitem(entry: str) -> None:
    with pytest.raises(ValueError, match="is no aclitem"):
        parse_acl(entry)
