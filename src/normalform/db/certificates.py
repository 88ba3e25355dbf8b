"""Certificates in the ledger, and continuity: whether what a certificate proved still holds.

A live certificate proves each row in a snapshot of its own; that text and key go on saying the same is sync's work. So
the proof holds from the first chunk to this moment exactly if sync stood enabled and unchanged all the while. Decides
that by the *seal*: the catalog versions of sync's triggers and functions, which change with every ALTER, so that a
trigger that was disabled and enabled again breaks it too. It must never take a certificate for a proof only because it
passed.

A seal has two parts. The second covers the functions that constrain replaces by stricter ones, and its undo by the
first ones again: once constrain has begun, these are only held to be one of the two.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import psycopg
from psycopg import sql

from ..core.certificate import Certificate
from ..core.model import Model
from ..sql.quote import LEDGER, render, table
from ..sql.sync import everything, of_reference, sync_intact
from . import ledger

_TRIGGERS = """
SELECT w.on_table, w.name, t.oid::text, t.tgenabled::text, t.xmin::text, t.tgfoid::text
FROM unnest(%s::text[], %s::text[]) w(on_table, name)
LEFT JOIN pg_trigger t ON t.tgrelid = to_regclass(w.on_table) AND t.tgname = w.name ORDER BY 1, 2
"""
_FUNCTIONS = """
SELECT w.name, p.oid::text, p.xmin::text, md5(p.prosrc) FROM unnest(%s::text[]) w(name)
LEFT JOIN pg_proc p ON p.pronamespace = to_regnamespace(%s) AND p.proname = w.name ORDER BY 1
"""
_COLUMNS = (
    "run", "reference", "rows", "null_keys", "undecided", "dangling", "cross_scope", "differing", "pending",
    "stored_checksum", "keyed_checksum", "mode", "sync_digest", "passed", "started_at", "at",
)  # fmt: skip


def seal(conn: psycopg.Connection, model: Model) -> str:
    """Return what continuity is measured against; equal seals mean that sync stood unchanged in between."""
    installed = everything(model)
    triggers = [trigger for made in installed for trigger in made.triggers]
    functions = {function.name for made in installed for function in made.functions}
    replaced = _replaced(model)
    standing = conn.execute(_TRIGGERS, ([render(table(t.on)) for t in triggers], [t.name for t in triggers])).fetchall()
    first = conn.execute(_FUNCTIONS, (sorted(functions - replaced), LEDGER)).fetchall()
    second = conn.execute(_FUNCTIONS, (sorted(replaced), LEDGER)).fetchall()
    return f"{_digest([*standing, *first])}.{_digest(second)}"


def _replaced(model: Model) -> set[str]:
    """The functions that constrain makes stricter."""
    return {
        soft.name
        for reference in model.references
        for soft, hard in zip(
            of_reference(reference).functions, of_reference(reference, hard=True).functions, strict=True
        )
        if soft.source != hard.source
    }


def _digest(rows: Iterable[object]) -> str:
    return hashlib.sha256(repr(list(rows)).encode()).hexdigest()[:32]


def save(conn: psycopg.Connection, run: int, certificates: Iterable[Certificate]) -> None:
    """Store certificates. Call inside a transaction that holds the fencing token."""
    insert = sql.SQL("INSERT INTO normalform.certificate ({}) VALUES ({})").format(
        sql.SQL(", ").join(map(sql.Identifier, _COLUMNS)), sql.SQL(", ").join(map(sql.Placeholder, _COLUMNS))
    )
    for certificate in certificates:
        conn.execute(insert, {**{name: getattr(certificate, name) for name in _COLUMNS}, "run": run})


def latest(conn: psycopg.Connection) -> dict[str, Certificate]:
    """Return the newest certificate of each reference, by the reference's name."""
    query = sql.SQL("SELECT DISTINCT ON (reference) {}, id FROM normalform.certificate ORDER BY reference, id DESC")
    rows = conn.execute(query.format(sql.SQL(", ").join(map(sql.Identifier, _COLUMNS)))).fetchall()
    found = [Certificate(**dict(zip((*_COLUMNS, "id"), row, strict=True))) for row in rows]
    return {certificate.reference: certificate for certificate in found}


def forget(conn: psycopg.Connection) -> None:
    """Delete every certificate: verify has been undone."""
    conn.execute("DELETE FROM normalform.certificate")


def continuity(conn: psycopg.Connection, certificate: Certificate, sealed: str) -> list[str]:
    """Return why a certificate proves nothing any more; empty when it still holds, as long as sync is not broken.

    Args:
        conn: a session outside a transaction.
        certificate: one of :func:`latest`.
        sealed: what :func:`seal` returns now.
    """
    name = certificate.reference
    problems = []
    if not certificate.passed:
        problems.append(f"{name}: certificate {certificate.id} of {certificate.at:%F %T} did not pass")
    then, now = certificate.sync_digest.partition("."), sealed.partition(".")
    if then[0] != now[0] or (then[2] != now[2] and not _constrained_since(conn, certificate)):
        problems.append(f"{name}: sync was changed after certificate {certificate.id} of {certificate.at:%F %T}")
    return problems


def _constrained_since(conn: psycopg.Connection, certificate: Certificate) -> bool:
    row = conn.execute(
        "SELECT EXISTS (SELECT FROM normalform.event WHERE kind = 'phase' AND name = 'constrain' AND at >= %s)",
        (certificate.at,),
    ).fetchone()
    return bool(row and row[0])


def unproven(conn: psycopg.Connection, model: Model) -> list[str]:
    """Return why text and key of the model's references are not proven to say the same now; empty when they are."""
    certificates = latest(conn) if ledger.installed(conn) else {}
    problems = broken_sync(conn, model)
    sealed = seal(conn, model)
    for reference in model.references:
        if reference.name in certificates:
            problems += continuity(conn, certificates[reference.name], sealed)
        else:
            problems.append(f"{reference.name}: not verified")
    return problems


def broken_sync(conn: psycopg.Connection, model: Model) -> list[str]:
    """Return how sync differs from what expand made, one line each; empty when it stands."""
    return sync_intact(conn, model)
