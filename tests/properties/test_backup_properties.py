"""Of any backups: a manifest that was damaged anywhere is refused, and pruning keeps what it must."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from normalform.core.backup_manifest import Contents, File, Locale, Manifest, Range, Sum, parse
from normalform.core.backup_policy import Kept, to_prune
from normalform.core.names import QName

names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)
sizes = st.integers(0, 2**62)
qnames = st.builds(QName, names, names)
contents = st.builds(
    Contents,
    st.dictionaries(qnames, st.builds(Sum, sizes, st.from_regex(r"[0-9a-f]{32}", fullmatch=True)), max_size=3),
    st.dictionaries(qnames, st.builds(Range, st.integers(), st.integers()), max_size=3),
    st.text(max_size=30),
)
paths = st.from_regex(r"dump/[a-z0-9]{1,8}\.dat", fullmatch=True)
manifests = st.builds(
    Manifest,
    kind=st.sampled_from(["directory", "plain"]),
    made_at=st.just("2026-01-20T08:00:00+00:00"),
    database=names, system=names, server=names, major=st.integers(15, 30), program=names, owners=st.booleans(),
    locale=st.builds(Locale, names, names, names, names, names),
    extensions=st.dictionaries(names, names, max_size=2),
    roles=st.tuples(names), policy_roles=st.just(()), contents=contents,
    files=st.lists(st.builds(File, paths, sizes, names), max_size=3).map(tuple), verified_at=names, verified_on=names,
)  # fmt: skip


@pytest.mark.slow
@given(manifests)
def test_a_manifest_reads_as_it_was_written(manifest: Manifest) -> None:
    assert parse(manifest.to_text()) == manifest


@pytest.mark.slow
@given(manifests, st.data())
def test_a_flipped_bit_is_seen_or_says_the_same(manifest: Manifest, data: st.DataObject) -> None:
    written = bytearray(manifest.to_text().encode())
    written[data.draw(st.integers(0, len(written) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        read = parse(written.decode())
    except ValueError:  # also of text that is no UTF-8 any more
        return
    assert read == manifest


@pytest.mark.slow
@given(manifests, st.data())
def test_what_is_cut_short_is_seen(manifest: Manifest, data: st.DataObject) -> None:
    text = manifest.to_text()
    cut = text[: data.draw(st.integers(0, len(text) - 3))]
    try:
        parse(cut)
    except ValueError:
        return
    raise AssertionError(f"read after all: {cut!r}")


NOW = datetime(2026, 1, 20, tzinfo=UTC)
backups = st.lists(
    st.builds(Kept, names, st.integers(-5, 400).map(lambda h: NOW - timedelta(hours=h)), st.booleans()),
    max_size=8, unique_by=lambda b: b.name,
)  # fmt: skip


@given(backups.filter(bool), st.data(), st.none() | st.integers(1, 5))
def test_pruning_keeps_the_one_just_made(there: list[Kept], data: st.DataObject, keep: int | None) -> None:
    """Another host's clock may have given a later date to an older one."""
    made = data.draw(st.sampled_from(there))
    going = to_prune(there, NOW, keep=keep, keep_days=0 if keep is None else None, made=made.name)
    assert made not in going
    if keep is not None and made.whole:
        assert len([b for b in there if b.whole and b not in going]) == min(keep, len([b for b in there if b.whole]))


@given(backups, st.none() | st.integers(1, 5), st.none() | st.floats(0, 20))
def test_pruning_keeps_what_it_must(there: list[Kept], keep: int | None, days: float | None) -> None:
    going = to_prune(there, NOW, keep=keep, keep_days=days)
    staying = [b for b in there if b not in going]
    whole = sorted((b for b in there if b.whole), key=lambda b: b.made_at, reverse=True)
    assert all(b.whole for b in going), "what is damaged is evidence"
    assert not whole or any(b.whole and b.made_at == whole[0].made_at for b in staying), "the newest stays"
    if keep is None and days is None:
        assert not going
    if keep is not None:
        assert len([b for b in staying if b.whole]) >= min(keep, len(whole))
    if days is not None:
        assert all(NOW - b.made_at >= timedelta(days=days) for b in going)
    if keep is not None and days is None:
        assert len([b for b in staying if b.whole]) == min(keep, len(whole))
