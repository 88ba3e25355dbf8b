"""Checksums: what must hold for all rows, and the certificate's judgement for all tallies."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from normalform.core.certificate import KINDS, PENDING, RIGHT, WRONG, Certificate, Offence, Tally, compare, judge
from normalform.core.checksum import MODULUS, NOTHING, Checksum, digest, encode
from normalform.db.snapshots import BlockRange, Pace

FIELD = st.none() | st.text(max_size=8)
ROW = st.lists(FIELD, min_size=1, max_size=4)
ROWS = st.lists(ROW, max_size=8)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@given(ROW, ROW)
def test_different_rows_have_different_texts(one: list[str | None], other: list[str | None]) -> None:
    assert (encode(one) == encode(other)) == (one == other)


def test_what_a_plain_concatenation_would_confuse() -> None:
    assert len({encode(r) for r in (["a", "bc"], ["ab", "c"], ["abc"], ["abc", None], ["abc", ""], [None, "abc"])}) == 6
    assert len({encode(r) for r in (["-"], [None], ["1:-"], [None, None], ["", None], [None, ""])}) == 6


@given(ROWS, st.randoms())
def test_the_order_of_rows_does_not_matter(rows: list[list[str | None]], random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert Checksum.of(rows) == Checksum.of(shuffled)


@given(ROWS, ROWS)
def test_parts_add_up(one: list[list[str | None]], other: list[list[str | None]]) -> None:
    assert Checksum.of(one) + Checksum.of(other) == Checksum.of([*one, *other])
    assert NOTHING + Checksum.of(one) == Checksum.of(one)


@given(ROW, ROW)
def test_equal_rows_do_not_cancel_each_other_out(a: list[str | None], b: list[str | None]) -> None:
    """With XOR {a, b, b} would be {a}."""
    assert Checksum.of([a, b, b]).total != Checksum.of([a]).total


@given(ROWS)
def test_halves_give_the_same_sum(rows: list[list[str | None]]) -> None:
    """As a query sums them: the signed halves by themselves, in numbers without bound."""

    def signed(number: int) -> int:
        return number - (1 << 64) if number >= 1 << 63 else number

    high = low = 0
    for row in rows:
        # The joined number has borrowed from the high half where the low one is negative.
        part = signed(digest(row) % (1 << 64))
        low += part
        high += signed(((digest(row) - part) >> 64) % (1 << 64))
    assert Checksum.of_halves(len(rows), high, low) == Checksum.of(rows)


@given(ROWS)
def test_it_prints_as_32_digits(rows: list[list[str | None]]) -> None:
    total = Checksum.of(rows)
    assert len(str(total)) == 32 and int(str(total), 16) == total.total < MODULUS


COUNTS = st.dictionaries(st.sampled_from(KINDS), st.integers(0, 3))


def certificate(name: str, tally: Tally, *, queued: int = 0, problems: tuple[str, ...] = ()) -> Certificate:
    return judge(
        name, tally, mode="live", sync_digest="d", queued=queued, problems=problems, offences=(), started_at=NOW, at=NOW
    )  # fmt: skip


@given(COUNTS, st.booleans(), st.integers(0, 2), st.booleans())
def test_only_a_spotless_tally_passes(counts: dict[str, int], sums_agree: bool, queued: int, problem: bool) -> None:
    rows = sum(counts.values())
    tally = Tally(counts, Checksum(rows, 5), Checksum(rows, 5 if sums_agree else 6))
    made = certificate("r", tally, queued=queued, problems=("sync",) if problem else ())
    spotless = sums_agree and not queued and not problem and not any(counts.get(k) for k in (*WRONG, PENDING))
    assert made.passed == spotless == (not made.failures)
    assert made.rows == rows
    assert made.null_keys + made.dangling + made.cross_scope + made.differing == sum(counts.get(k, 0) for k in WRONG)


@given(COUNTS, COUNTS)
def test_tallies_add_up(one: dict[str, int], other: dict[str, int]) -> None:
    both = Tally(one) + Tally(other)
    assert all(both.count(k) == one.get(k, 0) + other.get(k, 0) for k in KINDS)
    assert both.count(*RIGHT) + both.bad == sum(one.values()) + sum(other.values())


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.integers(0, 2)), max_size=4))
def test_comparing_names_exactly_what_differs(changes: list[tuple[str, int, int]]) -> None:
    before = {name: Tally({"exact": 2}, Checksum(2, 7), Checksum(2, 7)) for name in "abc"}
    after = dict(before)
    for name, rows, total in changes:
        after[name] = Tally({"exact": rows}, Checksum(rows, total + 6), Checksum(rows, total + 6))
    lines = compare([certificate(n, t) for n, t in before.items()], [certificate(n, t) for n, t in after.items()])
    assert [line[0] for line in lines] == [n for n in "abc" if before[n] != after[n]]


def test_a_reference_on_one_side_only_is_named() -> None:
    one = certificate("a", Tally({"exact": 2}, Checksum(2, 7), Checksum(2, 7)))
    assert compare([one], []) == ["a: 2 rows before, not verified now"]
    assert compare([], [one]) == ["a: not verified before, 2 rows now"]


@given(st.lists(FIELD, min_size=5, max_size=5))
def test_a_masked_row_holds_no_value(values: list[str | None]) -> None:
    marked = [None if v is None else f"<{v}>" for v in values]
    scope, text, qualifier, gives, key = marked
    row = Offence("r", "differing", ("17", "<id>"), (scope,), text, qualifier, key, (scope,), gives, qualifier)
    assert "<" not in str(row.masked(identity=[True, False], key=False)) and "r 17, •••: " in str(
        row.masked(identity=[True, False], key=False)
    )


@given(st.lists(st.none() | st.floats(0, 60), max_size=30))
def test_a_pace_stays_within_its_bounds(events: list[float | None]) -> None:
    pace = Pace()
    for event in events:
        before = pace.blocks
        if event is None:
            pace.halve()
            assert pace.blocks == max(1, before // 2)
        else:
            pace.took(event)
            assert 1 <= pace.blocks <= pace.most
            assert before // 2 <= pace.blocks <= before * 2
            assert pace.blocks >= min(before, pace.least), "a slow range must not lead to ever more fixed cost"


@given(st.integers(0, 1000), st.integers(1, 1000))
def test_halves_of_a_range_cover_it(first: int, blocks: int) -> None:
    whole = BlockRange(first, first + blocks)
    one, two = whole.halves()
    assert (one.first, two.end) == (whole.first, whole.end) and one.end == two.first
    assert one.blocks + two.blocks == blocks and max(one.blocks, two.blocks) < max(blocks, 2)
