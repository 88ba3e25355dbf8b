"""Sums over a reference's rows: rows by class, the two checksums, sample rows, and the same for psql without us.

Decides how a row becomes one text and how its hash is summed, as ``core.checksum`` does it in Python. It must never
decide what class a row is of, or what its key gives: that is ``sql.proof``'s alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from ..core.certificate import RIGHT
from ..core.model import Model, Reference
from .proof import given_names, identity_names, rows
from .quote import column, raw, render
from .shapes import scope_names

SQL = sql.SQL


def tally_query(reference: Reference, where: sql.Composable | None = None) -> sql.Composed:
    """Return a query (class, rows, stored high, stored low, keyed high, keyed low), one row per class.

    High and low are sums of the signed halves of the rows' hashes, for ``Checksum.of_halves``.

    Args:
        reference: the reference, expanded and not contracted.
        where: a condition on the table, alias ``t``; None for all rows.
    """
    return SQL(
        "SELECT h.class, count(*), sum(h.s_high)::text, sum(h.s_low)::text, sum(coalesce(h.g_high, h.s_high))::text, "
        "sum(coalesce(h.g_low, h.s_low))::text FROM ({}) h GROUP BY h.class"
    ).format(_hashes(reference, where))


def checksum_query(reference: Reference, where: sql.Composable | None = None) -> sql.Composed:
    """Return a query of one row (reference, rows, wrong, stored, keyed): the certificate's figures by SQL alone.

    ``stored`` and ``keyed`` are 32 hexadecimal digits, as ``str(Checksum)`` prints them.
    """
    return SQL(
        "SELECT {name} AS reference, n.rows, n.wrong, {stored} AS stored, {keyed} AS keyed FROM ("
        "SELECT count(*) AS rows, count(*) FILTER (WHERE h.class <> ALL ({right})) AS wrong, "
        "coalesce(sum(h.s_high), 0) AS s_high, coalesce(sum(h.s_low), 0) AS s_low, "
        "coalesce(sum(coalesce(h.g_high, h.s_high)), 0) AS g_high, "
        "coalesce(sum(coalesce(h.g_low, h.s_low)), 0) AS g_low "
        "FROM ({hashes}) h) n"
    ).format(
        name=sql.Literal(reference.name),
        stored=_hexadecimal("s"),
        keyed=_hexadecimal("g"),
        right=sql.Literal(list(RIGHT)),
        hashes=_hashes(reference, where),
    )


def script(model: Model, settings: Sequence[tuple[str, str]]) -> str:
    """Return one psql script that prints every reference's figures in one snapshot, without us.

    Args:
        model: the model.
        settings: what decides the bytes of printed values, by name, such as ``("datestyle", "ISO, YMD")``.
    """
    # One DO block and no SELECTs: what psql prints is the figures alone.
    pinned = SQL(" ").join([SQL("PERFORM pg_catalog.set_config({}, {}, true);").format(n, v) for n, v in settings])
    lines = [
        "-- The certificates' figures without Normalform; it reads, and changes nothing. Run it with:",
        "--   psql -X -v ON_ERROR_STOP=1 -f THIS_FILE",
        "-- rows, and those that are wrong; the sum of hashes over (identity, scope, text, qualifier) modulo 2^128,",
        "-- of what is stored and of what the keys give. A proof: wrong is 0 and both sums are the same.",
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;",
        "SET LOCAL standard_conforming_strings = on;",
        render(SQL("DO {};").format(sql.Literal(render(SQL("BEGIN {} END").format(pinned))))),
    ]
    for reference in model.references:
        lines += [f"-- {line}" for line in f"reference {reference.name}".splitlines()]
        lines.append(f"{render(checksum_query(reference))};")
    return "\n".join([*lines, "COMMIT;", ""])


def sample_query(
    reference: Reference, kinds: Sequence[str], limit: int | None, where: sql.Composable | None = None
) -> sql.Composed:
    """Return a query of rows of the given classes.

    Args:
        reference: the reference.
        kinds: classes.
        limit: at most so many rows of each class; None for all.
        where: a condition on the table, alias ``t``.

    Returns:
        A query (class, identity text[], scope text[], text, qualifier, key, gives_scope text[], gives_text,
        gives_qualifier); the identity is the row's place where there is no primary key.
    """
    n = len(reference.scope)
    keys = [SQL("r.{}::text").format(sql.Identifier(p)) for p in identity_names(reference) or ["place"]]
    number = SQL("row_number() OVER (PARTITION BY r.class)") if limit is not None else SQL("0")
    return SQL(
        "SELECT n.class, n.identity, n.scope, n.x, n.q, n.k, n.gives, n.gx, n.gq FROM ("
        "SELECT r.class, ARRAY[{identity}] AS identity, {scope} AS scope, r.x::text AS x, r.q, r.k::text AS k, "
        "{gives} AS gives, r.gx, r.gq, {number} AS nth FROM ({rows}) r WHERE r.class = ANY ({kinds})) n "
        "WHERE n.nth <= {limit}"
    ).format(
        identity=SQL(", ").join(keys),
        scope=_array("r", scope_names(n)),
        gives=_array("r", given_names(n)),
        number=number,
        rows=rows(reference, where),
        kinds=sql.Literal(list(kinds)),
        limit=sql.Literal(limit or 0),
    )


def _array(alias: str, columns: Sequence[str]) -> sql.Composable:
    if not columns:
        return SQL("'{{}}'::text[]").format()
    return SQL("ARRAY[{}]").format(SQL(", ").join([SQL("{}::text").format(column(alias, c)) for c in columns]))


def _encoded(alias: str, columns: Sequence[str]) -> sql.Composable:
    """The same text as ``core.checksum.encode`` gives."""
    part = SQL("coalesce(length({c}) || ':' || {c}, '-')")
    parts = [part.format(c=SQL("{}::text").format(column(alias, c))) for c in columns]
    return SQL("({})").format(SQL(" || ").join(parts))


def _hashes(reference: Reference, where: sql.Composable | None) -> sql.Composable:
    """A query (class, s_high, s_low, g_high, g_low); the last two are NULL where both texts are the same.

    OFFSET 0 keeps the planner from putting an expression in wherever its result is used, which would hash repeatedly.
    """
    n = len(reference.scope)
    identity = identity_names(reference)
    half = SQL("('x' || substr({h}, {start}, 16))::bit(64)::bigint AS {name}")
    halves = [
        half.format(h=raw(f"d.{side}"), start=sql.Literal(start), name=sql.Identifier(f"{side}_{name}"))
        for side in ("s", "g")
        for start, name in ((1, "high"), (17, "low"))
    ]
    return SQL(
        "SELECT d.class, {halves} FROM (SELECT e.class, md5(convert_to(e.s, 'UTF8')) AS s, "
        "CASE WHEN e.s <> e.g COLLATE pg_catalog.\"C\" THEN md5(convert_to(e.g, 'UTF8')) END AS g FROM "
        "(SELECT r.class, {stored} AS s, {keyed} AS g FROM ({rows}) r OFFSET 0) e OFFSET 0) d OFFSET 0"
    ).format(
        halves=SQL(", ").join(halves),
        stored=_encoded("r", [*identity, *scope_names(n), "x", "q"]),
        keyed=_encoded("r", [*identity, *given_names(n), "gx", "gq"]),
        rows=rows(reference, where),
    )


def _hexadecimal(side: str) -> sql.Composable:
    """The 32 digits of a sum, from its two halves, modulo 2^128."""
    total = SQL("mod(mod(n.{s}_high * 18446744073709551616 + n.{s}_low, {m}) + {m}, {m})").format(
        s=raw(side), m=raw("340282366920938463463374607431768211456")
    )
    digits = [
        SQL("lpad(to_hex(mod(div({}, {}), 4294967296)::bigint), 8, '0')").format(total, raw(str(1 << shift)))
        for shift in (96, 64, 32, 0)
    ]
    return SQL(" || ").join(digits)
