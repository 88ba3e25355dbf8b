"""What statistics, or a sample instead of them, say of a column; and what values look like."""

from __future__ import annotations

import random

import pytest

from normalform.core.column_stats import ColumnStats, looks_like, of_sample

LOOKS = [
    (["a@b.org", "x.y@mail.example.com", "me@här.de"], "e-mail addresses"),
    (['{"a": 1}', "[1, 2]", "{}"], "JSON"),
    (["https://x.org/a", "http://y", "ftp://z/q"], "URLs"),
    (["0f8fad5b-d9cb-469f-a165-70867728950e"], "UUIDs"),
    (["5d41402abc4b2a76b9719d911017c592", "9b74c9897bac770ffc029102a200c5de0"], "hashes"),
    (["12", "3.50", "-7", "1,000"], "numbers"),
    (["2026-01-02", "2026-01-02T10:00:00Z", "01/02/2026"], "dates or times"),
    (["a/b.jpg", "c.png", "/var/log"], "file names or paths"),
    (["The quick brown fox jumps over the lazy dog.", "two\nlines", "x" * 130], "prose"),
    (["tree", "oak", "New York", "Zürich", "漢字"], None),
    (["harbourmaster", "electroencephalograph"], None),
    (["Photography/Landscapes", "Nature/Trees"], None),
    ([], None),
    (["", " "], None),
]


@pytest.mark.parametrize(("values", "form"), LOOKS)
def test_what_values_look_like(values: list[str], form: str | None) -> None:
    assert looks_like(values) == form


def test_a_sample_says_what_the_server_would() -> None:
    drawn = random.Random(1)
    values = [drawn.choice(["a", "b", "c"]) if drawn.random() > 0.25 else None for _ in range(2000)]
    stats = of_sample(values, 1_000_000)
    assert stats.sampled
    assert stats.n_distinct == 3
    assert abs(stats.null_frac - 0.25) < 0.03
    assert stats.distinct(1_000_000) == 3
    assert 240_000 < stats.repeats(1_000_000) < 260_000
    assert not stats.all_differ


def test_what_differs_in_the_sample_is_taken_to_grow_with_the_table() -> None:
    stats = of_sample([f"v{i}" for i in range(1000)], 50_000)
    assert stats.all_differ
    assert stats.distinct(50_000) == 50_000
    # Nearly all different: many values, and not the sample's number of them.
    stats = of_sample([f"v{i // 2}" if i < 100 else f"v{i}" for i in range(1000)], 50_000)
    assert not stats.all_differ
    assert 5_000 < stats.distinct(50_000) < 50_000


def test_an_empty_sample_has_no_values() -> None:
    assert of_sample([], 0).probes() == {}
    stats = of_sample([None, None], 10)
    assert (stats.null_frac, stats.probes(), stats.looks_like()) == (1.0, {}, None)


def test_probes_stand_for_all_rows() -> None:
    common = tuple((f"c{i}", 0.01) for i in range(50))
    others = tuple(f"o{i}" for i in range(200))
    probes = ColumnStats(0.1, 5, -0.3, common, others).probes(60)
    assert len(probes) == 60
    assert sum(probes.values()) == pytest.approx(1)
    assert probes["c0"] == pytest.approx(0.01 / 0.9)
    assert any(v.startswith("o") for v in probes)
    assert ColumnStats(0.0, 5, 1, (("x", 1.0),)).probes() == {"x": 1.0}
