"""PhotoCat's database on a server of our own: its two roles, their rights, and which code fits its schema.

It decides which roles there are: one that owns the tables and migrates, one with DML alone that serves. It must never
touch a server that anybody else made.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

from normalform.embedded import Server
from photocat.settings import TagColumns

DATABASE, OWNER, APPLICATION = "photocat", "photocat_owner", "photocat_app"
TABLE_RIGHTS, SEQUENCE_RIGHTS = "SELECT, INSERT, UPDATE, DELETE", "USAGE, SELECT"


def make_database(server: Server) -> str:
    """Make roles and database where they are missing.

    Returns:
        The owner's URL.
    """
    with psycopg.connect(server.url(), autocommit=True) as connection:
        for role in (OWNER, APPLICATION):
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone():
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER").format(sql.Identifier(role)))
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone():
            create = sql.SQL("CREATE DATABASE {} OWNER {}")
            connection.execute(create.format(sql.Identifier(DATABASE), sql.Identifier(OWNER)))
    owner = server.url(DATABASE, OWNER)
    with psycopg.connect(owner, autocommit=True) as connection:
        rights = sql.SQL("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT {} ON {} TO {}")
        for right, kind in ((TABLE_RIGHTS, "TABLES"), (SEQUENCE_RIGHTS, "SEQUENCES")):
            connection.execute(rights.format(sql.SQL(right), sql.SQL(kind), sql.Identifier(APPLICATION)))
    return owner


def is_empty(url: str) -> bool:
    """Whether no revision has ever been recorded there."""
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT pg_catalog.to_regclass('public.alembic_version') IS NULL").fetchone()
    return found is not None and bool(found[0])


def fitting_columns(url: str) -> TagColumns:
    """Which code fits: that of the texts as long as they stand, as the runbook's application does."""
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT 1 FROM pg_catalog.pg_attribute WHERE attrelid = 'machine_tags'::regclass "
            "AND attname = 'keyword' AND NOT attisdropped"
        ).fetchone()
    return "key" if found is None else "text"
