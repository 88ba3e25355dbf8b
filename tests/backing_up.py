"""A database with everything that a backup could get wrong, and a role to restore it as."""

from __future__ import annotations

import psycopg
from psycopg import sql

from fix_servers import OWNER, Cluster, Database, template
from normalform.api import Options

KEEPER = "nf_keeper"
"""May create databases, and is no superuser."""

NASTY = template(
    "nasty-backup",
    r"""
    CREATE SCHEMA "Air Traffic";
    CREATE TYPE "Air Traffic".mood AS ENUM ('ok', 'not "ok"', '');
    CREATE DOMAIN "Air Traffic".code AS text CHECK (value = upper(value));
    CREATE TABLE "Air Traffic"."Flights; --" (
        "FAA Code" "Air Traffic".code, "a""b" text, mood "Air Traffic".mood, at timestamptz, span interval,
        price money, real4 real, real8 double precision, raw bytea, doc jsonb, many text[], ip inet
    );
    INSERT INTO "Air Traffic"."Flights; --" VALUES
        ('ÄÖ', NULL, 'ok', '2026-01-20 08:00+02', '1 mon 2 days 3 hours', 1234.56, 0.1, 1e300, '\x00ff', '{"a": [1]}',
         '{NULL,"","a,b"}', '::1'),
        ('X', '', 'not "ok"', 'infinity', NULL, -1, 'NaN', '-Infinity', '', 'null', '{}', '10.0.0.1/8'),
        ('X', '', 'not "ok"', 'infinity', NULL, -1, 'NaN', '-Infinity', '', 'null', '{}', '10.0.0.1/8'),
        (NULL, E'tab\t newline\n backslash\\ \\. \\N', '', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
    CREATE TABLE tags (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant text NOT NULL, keyword text,
        lower_keyword text GENERATED ALWAYS AS (lower(keyword)) STORED, gone integer
    );
    ALTER TABLE tags DROP COLUMN gone;
    INSERT INTO tags (tenant, keyword) SELECT 't' || i % 3, 'Wort ' || i FROM generate_series(1, 500) i;
    CREATE INDEX ix_tags ON tags (tenant, keyword) WHERE keyword IS NOT NULL;
    CREATE TABLE none ();
    INSERT INTO none DEFAULT VALUES;
    CREATE TABLE parts (tenant integer, text text) PARTITION BY LIST (tenant);
    CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
    CREATE TABLE parts_2 PARTITION OF parts DEFAULT;
    INSERT INTO parts SELECT i % 4, 'p' || i FROM generate_series(1, 40) i;
    CREATE TABLE heir (more text) INHERITS (tags);
    INSERT INTO heir (id, tenant, keyword, more) OVERRIDING SYSTEM VALUE VALUES (-1, 'heir', 'h', 'm');
    CREATE UNLOGGED TABLE quick AS SELECT 1 AS one;
    CREATE SEQUENCE never INCREMENT -3 START 7 MINVALUE -100 MAXVALUE 100;
    CREATE SEQUENCE called;
    SELECT setval('called', 41);
    CREATE MATERIALIZED VIEW counted AS SELECT tenant, count(*) AS n FROM tags GROUP BY tenant;
    CREATE FUNCTION shout(x text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT upper(x) -- a comment
    $$;
    CREATE INDEX ix_shout ON tags (public.shout(keyword));
    CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION 'no trigger fires while a backup is restored';
    END $$;
    CREATE TRIGGER t BEFORE INSERT ON tags FOR EACH ROW EXECUTE FUNCTION noted();
    GRANT SELECT ON tags TO nf_app;
    GRANT SELECT (keyword) ON heir TO nf_app;
    COMMENT ON TABLE tags IS 'It''s ours';
    SELECT lo_from_bytea(0, '\x0001');
    """,
)


def keeper(cluster: Cluster) -> str:
    """Return the URL of a role that may create databases on a server, made when it is first asked for."""
    made = sql.SQL(
        "DO $$ BEGIN CREATE ROLE nf_keeper LOGIN CREATEDB NOSUPERUSER; EXCEPTION WHEN duplicate_object THEN END $$"
    )
    cluster.admin(made.format())
    return cluster.server.url("postgres", KEEPER)


def options(db: Database, role: str = OWNER) -> Options:
    """Return the options for a database."""
    return Options(db.url_of(role))


def scratch(cluster: Cluster) -> list[str]:
    """Return the scratch databases on a server."""
    with psycopg.connect(cluster.server.url()) as conn:
        rows = conn.execute("SELECT datname FROM pg_database WHERE datname LIKE 'normalform%'").fetchall()
    return [str(r[0]) for r in rows]
