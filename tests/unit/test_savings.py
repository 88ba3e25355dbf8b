"""Sizes foretold: the server's rules on figures that it gave, and what no estimate may say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from normalform.core import heap
from normalform.core.btree import PAGE, Group, built_bytes, even_groups, grown_bytes
from normalform.core.savings import IndexRead, Size, TableRead, foretell, table_savings
from normalform.core.spec import Vacuum


@pytest.mark.parametrize(
    ("groups", "key", "shared", "measured"),
    [
        # CREATE INDEX on PostgreSQL 18: the bytes that pg_relation_size gave.
        ([Group(1, 100_000)], 16, False, 2_260_992),  # a primary key, integer
        ([Group(4_000, 25)], 16, True, 712_704),  # 25 tenants of two letters
    ],
)
def test_a_built_index_has_the_bytes_that_the_server_gave(
    groups: list[Group], key: float, shared: bool, measured: int
) -> None:
    assert built_bytes(groups, key, shared=shared, constant=True) == pytest.approx(measured, rel=0.02)


def test_an_empty_index_is_its_meta_page() -> None:
    assert built_bytes([], 16, shared=True) == PAGE


def test_even_groups_give_entries_and_keys() -> None:
    assert even_groups(10, 4) == (Group(2, 2), Group(3, 2))
    assert even_groups(8, 4) == (Group(2, 4),)
    assert even_groups(3, 9) == (Group(1, 3),) and even_groups(0, 5) == ()


def test_an_index_doubles_where_its_leaves_are_full_and_the_old_entries_still_there() -> None:
    now = built_bytes([Group(1, 100_000)], 16, shared=False)
    assert grown_bytes(now, now, 1.0, 1.0, 1) == pytest.approx(2 * now, rel=0.01)
    assert grown_bytes(now, now, 1.0, 0.1, 1) == now, "VACUUM takes the old ones away in time"
    assert grown_bytes(2 * now, now, 1.0, 1.0, 1) == 2 * now, "half empty leaves take them"
    assert grown_bytes(now, now, 0.0, 1.0, 1) == now


@given(
    entries=st.integers(1, 10**8), keys=st.integers(1, 10**8), key=st.sampled_from([16.0, 24.0, 40.3, 96.0, 400.0]),
    shared=st.booleans(), fillfactor=st.integers(50, 100),
)  # fmt: skip
def test_an_index_holds_its_entries_and_no_less(
    entries: int, keys: int, key: float, shared: bool, fillfactor: int
) -> None:
    groups = even_groups(entries, keys)
    size = built_bytes(groups, key, shared=shared, fillfactor=fillfactor)
    least = entries * (6 if shared else key + 4)  # a row is at least its address
    assert size >= least
    more = built_bytes(even_groups(entries * 2, keys * 2), key, shared=shared, fillfactor=fillfactor)
    assert size <= more <= 2 * size + 4 * PAGE
    alone = built_bytes(groups, key, shared=False, fillfactor=fillfactor)
    assert not shared or size <= alone + PAGE, "posting lists never cost more than single tuples"


@given(
    blocks=st.integers(1, 10**6), per_block=st.integers(1, 120), wide=st.integers(0, 60), filled=st.integers(0, 120),
    workers=st.integers(1, 8), vacuum=st.sampled_from(["between", "after", "never"]), mapped=st.booleans(),
)  # fmt: skip
def test_a_heap_never_shrinks_nor_takes_more_than_all_its_rows_anew(
    blocks: int, per_block: int, wide: int, filled: int, workers: int, vacuum: Vacuum, mapped: bool
) -> None:
    size = float(heap.USABLE // per_block // 8 * 8)
    sample = [heap.Block(per_block, round(per_block * size), min(filled, per_block))] * 5
    read = heap.Rows(per_block * blocks, blocks, size, size + wide, size, sample)
    grown = heap.filled(read, workers, vacuum, mapped=mapped)
    assert blocks <= grown.blocks <= blocks + heap.rewritten_blocks(read.count, read.keyed) + 1
    assert 0 <= grown.elsewhere <= 1
    assert heap.filled(read, workers, "never", mapped=mapped).blocks >= grown.blocks


def rows(free: int, *, blocks: int = 1000, per_block: int = 50) -> heap.Rows:
    size = (heap.USABLE - free) // per_block
    sample = [heap.Block(per_block, per_block * size, per_block)] * 100
    return heap.Rows(per_block * blocks, blocks, size, size + 8, size - 40, sample)


def test_a_full_heap_doubles_without_vacuum_and_grows_by_what_waits_for_it_otherwise() -> None:
    full = rows(free=8)
    never, between = heap.filled(full, 2, "never"), heap.filled(full, 2, "between")
    assert never.elsewhere == 1.0 and never.blocks == pytest.approx(2050, rel=0.03)
    assert between.intervals > 1 and between.blocks < 1500


def test_rows_stay_in_their_block_where_it_has_room() -> None:
    roomy = heap.filled(rows(free=heap.USABLE // 2 + 500), 2, "never")
    assert (roomy.blocks, roomy.elsewhere) == (1000, 0.0), "every new version is a HOT update"


def test_space_elsewhere_is_used_once_it_is_known() -> None:
    sample = [heap.Block(50, 50 * 160, 50), heap.Block(0, 0, 0)]
    half_empty = heap.Rows(5_000, 200, 160.0, 168.0, 120.0, sample)
    assert heap.filled(half_empty, 2, "never").blocks == pytest.approx(204, abs=4)
    assert heap.filled(half_empty, 2, "never", mapped=False).blocks > 300


def test_long_slices_leave_most_rows_on_their_page() -> None:
    """Measured on a million machine tags, 27 rows in a hundred went elsewhere; short slices are filled at one go."""
    long, short = (heap.filled(rows(free=60, blocks=n, per_block=62), 2, "between") for n in (20_000, 2_000))
    assert 0.15 < long.elsewhere < 0.3
    assert short.elsewhere > 0.99
    assert long.blocks / 20_000 < 1.1 < short.blocks / 2_000


def test_a_rewritten_heap_packs_its_rows() -> None:
    assert heap.rewritten_blocks(0, 100.0) == 0
    assert heap.rewritten_blocks(8_000, 100.0) == pytest.approx(100, rel=0.03)
    assert heap.rewritten_blocks(8_000, 100.0, 50) == pytest.approx(200, rel=0.05)


def table(**changes: object) -> TableRead:
    legacy = IndexRead("ix_tags_text", 2_000_000, [Group(10, 5_000)], 40.0, shared=True, goes=True)
    kept = IndexRead("tags_pkey", 1_130_496, [Group(1, 50_000)], 16.0, constant=True)
    coming = IndexRead("uq_tags_key", 0, [Group(1, 50_000)], 24.0, phase="constrain", again=True)
    read = {"table": "tags", "rows": rows(free=8), "heap": 1000 * PAGE, "toast": 8192, "maps": 40_960,
            "indexes": (legacy, kept, coming), "filled_by": "backfill", **changes}  # fmt: skip
    return TableRead(**read)  # type: ignore[arg-type]


def test_each_phase_leaves_what_it_makes() -> None:
    found = table_savings(table(), workers=2, vacuum="never")
    fresh = built_bytes([Group(1, 50_000)], 24.0, shared=False)
    assert found.before == Size(1000 * PAGE, 3_130_496, 49_152)
    assert found.after["expand"] == found.before
    assert found.after["backfill"].heap > found.before.heap
    assert found.after["constrain"].indexes == found.after["backfill"].indexes + fresh
    assert found.contracted.heap == found.after["backfill"].heap, "dropped columns leave their bytes"
    assert found.contracted.indexes < found.after["constrain"].indexes
    assert found.rewritten.heap < found.before.heap < found.contracted.heap
    assert found.rewritten.other == 8192, "no map of free space, and TOAST as it was"
    assert found.peak["contract"] == fresh, "the unique is built beside the plain index"
    assert found.peak["backfill"] == found.after["backfill"].total - found.after["expand"].total


def test_room_and_time_grow_with_what_is_to_be_done() -> None:
    one = foretell([table()], workers=2, vacuum="between", archived=0, undecided=0)
    two = foretell([table(), table(table="more")], workers=2, vacuum="between", archived=10_000, undecided=10)
    assert [p.phase for p in one.phases] == ["resolve", "expand", "backfill", "verify", "constrain", "contract"]
    for single, double in zip(one.phases, two.phases, strict=True):
        assert double.peak >= single.peak >= single.grows
        assert 0 < single.seconds[0] < single.seconds[1] <= double.seconds[1]
    data = two.to_json()
    assert data["total"]["before"]["total"] == 2 * one.total.before.total
    assert data["tables"][0]["saved"]["rewritten"] == one.total.before.total - one.total.rewritten.total
