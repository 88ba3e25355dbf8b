"""What is a guess, and what is left out: decoys, chance, several lookups for a column; how the draft names it all."""

from __future__ import annotations

import pytest

from guessing import catalog, fitted, own, repeater, table
from normalform.core.bind import bind
from normalform.core.candidates import Repeater
from normalform.core.catalog import Table
from normalform.core.draft import draft
from normalform.core.fit import Fit
from normalform.core.guess import Overlap, choose, doubt, named, pairs
from normalform.core.init_report import size, spec_text, spoken_guess
from normalform.core.names import QName
from normalform.core.own_lookup import own_lookups, saved
from normalform.core.samples import Rate
from normalform.core.spec_file import parse

COLORS = table("colors", "id:int4 name:text", ("name",))
ITEMS = table("items", "id:int4 color:text! shade:text status:text maker:text")


def rows_of(column: str, count: int, of: int, *, prefix: str = "n", wrong: int = 0) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = [{"id": i, column: f"{prefix}{i % of}"} for i in range(count)]
    return rows + [{"id": count + i, column: f"wrong{i}"} for i in range(wrong)]


def lookup_rows(count: int) -> list[dict[str, object]]:
    return [{"id": i, "name": f"n{i}"} for i in range(count)]


def fit_of(column: str, rows: list[dict[str, object]], *, size: int = 30, distinct: float | None = None) -> Fit:
    return fitted((COLORS, "name", lookup_rows(size)), [(ITEMS, column, rows)], distinct=distinct)


def why(fit: Fit) -> str | None:
    return doubt(fit, fit.references[0])


# ---------------------------------------------------------------------------------------------------- doubts


def test_alike_names_may_miss_many_values_and_unlike_names_few() -> None:
    assert why(fit_of("color", rows_of("color", 60, 30, wrong=40))) is None
    assert "unlike" in (why(fit_of("maker", rows_of("maker", 60, 30, wrong=40))) or "")
    assert why(fit_of("maker", rows_of("maker", 60, 30, wrong=1))) is None


def test_alike_names_alone_are_no_reason() -> None:
    assert why(fit_of("color", rows_of("color", 60, 30, prefix="x"))) == (
        "none of 60 sampled rows is found in colors.name"
    )
    assert why(fit_of("color", rows_of("color", 60, 30, wrong=200))) is not None


def test_few_values_in_a_large_vocabulary_are_chance() -> None:
    few = rows_of("status", 300, 5)
    said = why(fit_of("status", few, distinct=500_000)) or ""
    assert "5 values may be chance" in said
    assert why(fit_of("status", few, size=8)) is None  # five of eight colours are no chance
    many = rows_of("status", 600, 200)
    assert why(fit_of("status", many, size=300, distinct=8_000)) is None
    assert why(fit_of("status", many, size=300, distinct=500_000)) is not None


def test_several_rows_for_one_text_that_nothing_tells_apart() -> None:
    lookup = table("colors", "id:int4 shop:int4 name:text", ("shop", "name"))
    rows = [{"id": 100 * s + i, "shop": s, "name": f"n{i}"} for s in range(5) for i in range(10)]
    fit = fitted((lookup, "name", rows), [(ITEMS, "color", rows_of("color", 40, 10))])
    assert "nothing tells them apart" in (why(fit) or "")


def test_a_scope_that_the_columns_table_lacks() -> None:
    lookup = table("colors", "id:int4 shop:int4 name:text", ("shop", "name"))
    rows = [{"id": 100 * s + i, "shop": s, "name": f"n{i}"} for s in range(5) for i in range(10)]
    with_shop = table("sales", "id:int4 shop:int4 color:text")
    sold = [{"id": i, "shop": i % 5, "color": f"n{i % 10}"} for i in range(100)]
    fit = fitted((lookup, "name", rows), [(with_shop, "color", sold), (ITEMS, "color", rows_of("color", 40, 10))])
    assert [doubt(fit, r) for r in fit.references] == [
        None, "100 percent (40 of 40) of its rows are found in colors.name, but no column agrees with shop"
    ]  # fmt: skip


def test_the_same_rows_twice_are_no_reference() -> None:
    """One row for each picture and tag here, and there: nothing is repeated, so nothing is to be saved."""
    one = table("permatags", "id:int4 tenant:int4 image:int4 keyword:text", ("tenant", "image", "keyword"))
    two = table("machine_tags", "id:int4 tenant:int4 image:int4 keyword:text")
    rows: list[dict[str, object]] = [
        {"id": 100 * i + k, "tenant": i % 3, "image": i, "keyword": f"k{100 * i + k}"}
        for i in range(30)
        for k in range(4)
    ]
    other = repeater(two, "keyword", rows, times=1)
    fit = fitted((one, "keyword", rows), [(two, "keyword", rows)])
    assert fit.shape.scope == ("tenant", "image")
    reference = fit.references[0]
    assert "hardly a row" in (doubt(fit, type(reference)(**{**vars(reference), "repeater": other})) or "")


# ------------------------------------------------------------------------------------------------ choosing


def test_a_column_means_one_lookup_the_nearest_by_name() -> None:
    makers = table("makers", "id:int4 name:text", ("name",))
    rows = rows_of("maker", 90, 30)
    fits = [fitted((of, "name", lookup_rows(30)), [(ITEMS, "maker", rows)]) for of in (COLORS, makers)]
    chosen, vain, used = choose(fits)
    assert [c.fit.owner.table.name.name for c in chosen] == ["makers"]
    assert vain == {}
    assert used[QName("public", "makers"), "name"] == "it is a lookup's own text"


def test_a_text_that_repeats_another_ones_is_no_lookup() -> None:
    shades = table("color_shades", "id:int4 color:text", ("color",))
    rows = rows_of("color", 90, 30)
    real = fitted(
        (COLORS, "name", lookup_rows(30)), [(ITEMS, "color", rows), (shades, "color", rows_of("color", 30, 30))]
    )
    false = fitted((shades, "color", rows_of("color", 30, 30)), [(ITEMS, "shade", rows_of("shade", 90, 30))])
    chosen, vain, _ = choose([real, false])
    assert [c.fit.owner.table for c in chosen] == [COLORS]
    assert "repeats another table's text itself" in vain[ITEMS.name, "shade"]


def test_where_both_sides_are_named_only_nothing_found_is_not_found() -> None:
    little = fit_of("maker", rows_of("maker", 10, 10, wrong=90))
    chosen, vain = named([little])
    assert len(chosen) == 1 and vain == {}
    chosen, vain = named([fit_of("maker", rows_of("maker", 50, 10, prefix="x"))])
    assert chosen == []
    assert vain == {(ITEMS.name, "maker"): "none of 50 sampled rows is found in colors.name"}
    empty = fit_of("maker", [])
    assert len(named([empty])[0]) == 1  # nothing to look at: what was said is believed


def test_a_column_with_keys_lacks_its_foreign_key_only() -> None:
    tenants = table("tenants", "id:text! name:text", ("name",), pk="id")
    owners = [own(tenants, "id"), own(tenants, "name")]
    tags = table("tags", "id:int4 tenant_id:text")
    one = repeater(tags, "tenant_id", [{"tenant_id": f"n{i % 5}"} for i in range(50)])
    overlaps = {(o.name, one.name): Overlap(1.0, Rate(5, 5)) for o in owners}
    chosen, settled = pairs(owners, [one], overlaps)
    assert chosen == {}
    assert "keys of tenants already" in settled[one.name]


def test_only_pairs_with_some_values_are_sampled() -> None:
    owners = [own(COLORS, "name")]
    one = repeater(ITEMS, "color", rows_of("color", 50, 5))
    assert pairs(owners, [one], {(owners[0].name, one.name): Overlap(0.2, Rate(9, 10))})[0] == {}
    assert pairs(owners, [one], {(owners[0].name, one.name): Overlap(0.3, Rate(1, 10))})[0] == {owners[0].name: [one]}
    assert pairs(owners, [one], {})[0] == {}


# ------------------------------------------------------------------------------------------ lookups of their own


def big(values: list[str], *, times: int = 10_000) -> Repeater:
    return repeater(ITEMS, "maker", [{"maker": values[i % len(values)]} for i in range(1000)], times=times)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (["open", "closed", "new"], "a check or an enum"),
        ([f"{i:032x}" for i in range(50)], "hashes"),
        ([f"u{i}@example.org" for i in range(50)], "e-mail"),
        ([f'{{"a": {i}}}' for i in range(50)], "JSON"),
        ([f"the quick brown fox number {i} jumps over us all today" for i in range(50)], "prose"),
        ([f"value {i}" for i in range(1000)], "rows only"),
    ],
)
def test_decoys_deserve_no_lookup(values: list[str], why: str) -> None:
    column = big(values, times=10_000 if len(values) < 1000 else 2)
    proposals, said = own_lookups([column])
    assert proposals == []
    assert why in said[column.name]


def makers(count: int = 100, start: int = 0) -> list[str]:
    return [f"Maker Number {i}" for i in range(start, start + count)]


def test_many_rows_of_few_names_deserve_one() -> None:
    [found], _ = own_lookups([big(makers())])
    assert found.bytes > 1_000_000
    assert "100 values, each on 100,000 rows" in found.why
    none, said = own_lookups([big(makers(), times=3)])
    assert none == []
    assert "less than a megabyte" in said[ITEMS.name, "maker"]


def test_columns_of_one_meaning_share_a_lookup() -> None:
    def column(name: str, text: str, values: list[str], times: int) -> Repeater:
        of = table(name, f"id:int4 {text}:text")
        return repeater(of, text, [{text: values[i % len(values)]} for i in range(1000)], times=times)

    large, small = column("sales", "maker_name", makers(), 10_000), column("returns", "maker", makers(60), 1)
    other, apart = column("cars", "maker", makers(100, 500), 10_000), column("parts", "origin", makers(), 10_000)
    proposals, said = own_lookups([small, apart, other, large])
    groups = [[r.table.name.name for r in p.repeaters] for p in proposals]
    assert sorted(groups) == [["cars"], ["parts"], ["sales", "returns"]]
    assert [p.bytes for p in proposals] == sorted((p.bytes for p in proposals), reverse=True)
    assert said == {}
    of = catalog(*(r.table for r in (small, apart, other, large)), table("makers", "id:int4"))
    spec = parse(spec_text(draft([], of, proposals), (), of.database))
    assert {(x.name, str(x.table), x.create, x.key_type, x.text) for x in spec.lookups} == {
        ("maker", "makers_2", True, "integer", "name"),
        ("public_maker", "makers_3", True, "integer", "name"),
        ("origin", "origins", True, "integer", "name"),
    }
    assert {(r.name, r.text, r.add, r.on_unknown) for r in spec.references} == {
        ("sales", "maker_name", "maker_id", "create"), ("returns", "maker", "maker_id", "create"),
        ("cars", "maker", "maker_id", "create"), ("parts", "origin", "origin_id", "create"),
    }  # fmt: skip
    model = bind(spec, of)
    assert {str(lookup.table.name) for lookup in model.lookups} == {"makers_2", "makers_3", "origins"}


def test_what_is_saved_counts_the_indexes_on_the_text() -> None:
    indexed = table("items", "id:int4 maker:text", ("maker", "id"))
    rows = [{"maker": "x" * 20 + str(i % 10)} for i in range(100)]
    plain, with_index = repeater(ITEMS, "maker", rows), repeater(indexed, "maker", rows)
    assert saved(with_index, 4) == 2 * saved(plain, 4) == 2 * 100 * 1000 * (22 - 4)
    assert saved(plain, 400) == 0


# ----------------------------------------------------------------------------------------------------- the draft


def drafted(*fits: Fit, tables: tuple[Table, ...]) -> str:
    chosen, _, _ = choose(fits)
    of = catalog(*tables)
    return spec_text(draft(chosen, of), tables, of.database)


def test_names_keys_and_defaults() -> None:
    rows = rows_of("color", 60, 30)
    sold = table("sales", "id:int4 home_color:text away_color:text color_id:int4 color:text")
    away: list[dict[str, object]] = [*rows_of("away_color", 60, 30), {"away_color": None}]
    references = [
        (ITEMS, "color", rows),
        (sold, "home_color", rows_of("home_color", 60, 30)),
        (sold, "away_color", away),
        (sold, "color", rows),
    ]
    spec = parse(drafted(fitted((COLORS, "name", lookup_rows(30)), references), tables=(COLORS, ITEMS, sold)))
    [lookup] = spec.lookups
    assert (lookup.name, lookup.table, lookup.key, lookup.text) == ("color", QName("", "colors"), "id", "name")
    assert {(r.name, r.table.name, r.text, r.add, r.required) for r in spec.references} == {
        ("items", "items", "color", "color_id", True),
        ("sales_home_color", "sales", "home_color", "home_color_id", True),
        ("sales_away_color", "sales", "away_color", "away_color_id", False),
        ("sales_color", "sales", "color", "color_color_id", True),  # color_id is taken
    }


def test_another_schema_is_written_where_the_path_does_not_lead_there() -> None:
    far = Table(**{**vars(COLORS), "name": QName("Far Away", "colors")})
    text = drafted(
        fitted((far, "name", lookup_rows(30)), [(ITEMS, "color", rows_of("color", 60, 30))]), tables=(far, ITEMS)
    )
    assert parse(text).lookups[0].table == QName("Far Away", "colors")
    assert parse(text).references[0].table == QName("", "items")


def test_the_file_holds_no_value_and_says_what_new_rows_need() -> None:
    needy = table("colors", "id:int4 name:text shop:int4!", ("name",))
    rows = rows_of("color", 60, 30, wrong=3)
    fit = fitted((needy, "name", lookup_rows(30)), [(ITEMS, "color", rows)])
    assert fit.references[0].missing == ("wrong0", "wrong1", "wrong2")
    text = drafted(fit, tables=(needy, ITEMS))
    assert "wrong" not in text
    assert "#   [lookup.color.new_row]\n#   shop = …\n" in text
    assert "95.2 percent (60 of 63)" in text
    hidden = draft(choose([fit])[0], catalog(needy, ITEMS), mask=True)
    assert hidden.references[0].missing == ()


def test_nothing_found_is_no_file() -> None:
    assert drafted(tables=(COLORS,)) == ""


def test_rates_are_never_rounded_to_all_or_none() -> None:
    assert str(Rate(99_999, 100_000)) == "99.9 percent (99,999 of 100,000)"
    assert str(Rate(1, 100_000)) == "0.1 percent (1 of 100,000)"
    assert (str(Rate(5, 5)), str(Rate(0, 5)), str(Rate(0, 0))) == (
        "100 percent (5 of 5)", "0 percent (0 of 5)", "nothing to look at"
    )  # fmt: skip
    fit = fit_of("color", rows_of("color", 60, 30))
    [reference] = draft(choose([fit])[0], catalog(COLORS, ITEMS)).references
    assert spoken_guess(reference.guesses[0]).startswith("text: color: 100 percent (60 of 60) rows whose text is in")
    assert [size(n) for n in (0, 999, 1500, 2_000_000, 123_456_789_000)] == [
        "0 bytes", "999 bytes", "1.5 kB", "2.0 MB", "123 GB"
    ]  # fmt: skip
