"""The queries that read pg_catalog: one set of rows for all tables at once, on PostgreSQL 15 to 18.

Each takes ``%(oids)s``, the tables' OIDs, where it is about tables. They must never write, never lock anything but
the catalogs, and never name a column that only one version has: such columns are read through ``to_jsonb(row)``.
"""

from __future__ import annotations

#: What the role's sessions get as search_path unless somebody sets it; NULL when nobody has configured one.
ROLE_PATH = """
SELECT coalesce(
    (SELECT pg_catalog.substr(entry, 13)
       FROM pg_catalog.pg_db_role_setting AS s
       LEFT JOIN pg_catalog.pg_database AS d ON d.oid = s.setdatabase
       LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = s.setrole
      CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS entry
      WHERE (s.setdatabase = 0 OR d.datname = pg_catalog.current_database())
        AND (s.setrole = 0 OR r.rolname = SESSION_USER)
        AND entry LIKE 'search\\_path=%'
      ORDER BY (s.setrole <> 0) DESC, (s.setdatabase <> 0) DESC
      LIMIT 1),
    (SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'search_path')
) AS path
"""

#: The schemas of a search_path that exist and may be used, "$user" resolved: the server reads the text itself.
SCHEMAS = """
SELECT pg_catalog.current_schemas(false)::text[] AS schemas,
       pg_catalog.current_setting('server_version_num')::int AS version,
       pg_catalog.current_database() AS database,
       CURRENT_USER AS role
"""

#: Every relation that we may name, for hints.
NAMES = """
SELECT n.nspname AS schema, c.relname AS name
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm')
   AND c.relpersistence <> 't'
   AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'normalform')
   AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
 ORDER BY n.nspname, c.relname
"""

#: OIDs of the named tables. An empty schema is looked for along %(path)s, first match wins.
RESOLVE = """
SELECT DISTINCT ON (w.position) c.oid
  FROM unnest(%(schemas)s::text[], %(names)s::text[]) WITH ORDINALITY AS w (schema, name, position)
 CROSS JOIN LATERAL pg_catalog.unnest(
           CASE WHEN w.schema = '' THEN %(path)s::text[] ELSE ARRAY[w.schema] END
       ) WITH ORDINALITY AS p (schema, rank)
  JOIN pg_catalog.pg_namespace AS n ON n.nspname = p.schema
  JOIN pg_catalog.pg_class AS c
    ON c.relnamespace = n.oid AND c.relname = w.name AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
 ORDER BY w.position, p.rank
"""

TABLES = """
SELECT c.oid::bigint AS oid, n.nspname AS schema, c.relname AS name, c.relkind::text AS kind,
       pg_catalog.pg_get_userbyid(c.relowner) AS owner, c.relpersistence::text AS persistence,
       c.relrowsecurity AS row_security, c.relforcerowsecurity AS force_row_security,
       c.relreplident::text AS replica_identity,
       coalesce(pg_catalog.pg_relation_filenode(c.oid), 0)::bigint AS relfilenode,
       s.pages,
       CASE WHEN c.reltuples > 0 AND c.relpages > 0 AND c.relkind = 'r'
            THEN c.reltuples::float8 / c.relpages * s.pages
            ELSE greatest(c.reltuples, 0)::float8 END AS rows_estimate,
       coalesce(pg_catalog.pg_total_relation_size(c.oid), 0) AS bytes,
       coalesce(c.relacl::text[], '{}') AS acl
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 CROSS JOIN LATERAL (
           SELECT coalesce(pg_catalog.pg_relation_size(c.oid), 0)
                  / pg_catalog.current_setting('block_size')::bigint AS pages
       ) AS s
 WHERE c.oid = ANY (%(oids)s::oid[])
 ORDER BY n.nspname, c.relname
"""

#: Columns; a domain counts as the type that it rests on, with the domain's width.
COLUMNS = """
WITH RECURSIVE wanted AS (
    SELECT * FROM pg_catalog.pg_attribute
     WHERE attrelid = ANY (%(oids)s::oid[]) AND attnum > 0 AND NOT attisdropped
), base (origin, type, modifier) AS (
    SELECT DISTINCT atttypid, atttypid, -1 FROM wanted
    UNION ALL
    SELECT b.origin, t.typbasetype, CASE WHEN t.typtypmod >= 0 THEN t.typtypmod ELSE b.modifier END
      FROM base AS b JOIN pg_catalog.pg_type AS t ON t.oid = b.type
     WHERE t.typtype = 'd'
)
SELECT a.attrelid::bigint AS oid, a.attname AS name, a.attnum::int AS attnum,
       pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
       bt.typname AS base,
       pg_catalog.format_type(bt.oid, greatest(a.atttypmod, b.modifier)) AS base_type,
       CASE WHEN bt.typname IN ('varchar', 'bpchar') AND greatest(a.atttypmod, b.modifier) >= 0
            THEN greatest(a.atttypmod, b.modifier) - 4 END AS width,
       -- From 18 on a NOT NULL can be NOT VALID: rows that stood before it may be NULL.
       a.attnotnull AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS nn
          WHERE nn.conrelid = a.attrelid AND nn.contype = 'n' AND nn.conkey = ARRAY[a.attnum] AND NOT nn.convalidated)
          AS not_null,
       pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS "default",
       a.attidentity::text AS identity, a.attgenerated::text AS generated,
       CASE WHEN a.attcollation <> t.typcollation
            THEN (SELECT pg_catalog.quote_ident(cn.nspname) || '.' || pg_catalog.quote_ident(cl.collname)
                    FROM pg_catalog.pg_collation AS cl
                    JOIN pg_catalog.pg_namespace AS cn ON cn.oid = cl.collnamespace
                   WHERE cl.oid = a.attcollation) END AS collation,
       CASE WHEN a.attcollation NOT IN (0, 'pg_catalog."default"'::pg_catalog.regcollation)
            THEN (SELECT pg_catalog.quote_ident(cn.nspname) || '.' || pg_catalog.quote_ident(cl.collname)
                    FROM pg_catalog.pg_collation AS cl
                    JOIN pg_catalog.pg_namespace AS cn ON cn.oid = cl.collnamespace
                   WHERE cl.oid = a.attcollation) END AS collated,
       coalesce((SELECT cl.collisdeterministic FROM pg_catalog.pg_collation AS cl WHERE cl.oid = a.attcollation), true)
           AS deterministic,
       CASE WHEN a.attstorage <> t.typstorage
            THEN CASE a.attstorage WHEN 'p' THEN 'plain' WHEN 'e' THEN 'external'
                                   WHEN 'm' THEN 'main' ELSE 'extended' END END AS storage,
       CASE a.attcompression WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' ELSE '' END AS compression,
       nullif(a.attstattarget, -1)::int AS statistics,
       pg_catalog.col_description(a.attrelid, a.attnum) AS comment,
       coalesce(a.attacl::text[], '{}') AS acl,
       coalesce(a.attoptions, '{}') AS options
  FROM wanted AS a
  JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
  JOIN base AS b ON b.origin = a.atttypid
  JOIN pg_catalog.pg_type AS bt ON bt.oid = b.type AND bt.typtype <> 'd'
  LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 ORDER BY a.attrelid, a.attnum
"""

#: Indexes. The columns of an index that serves a constraint hang on the constraint in pg_depend, not on the index.
INDEXES = """
SELECT i.indrelid::bigint AS oid, i.indexrelid::bigint AS index_oid, c.relname AS name, n.nspname AS schema,
       m.amname AS method, i.indisunique AS "unique", i.indisprimary AS "primary",
       i.indisvalid AS valid, i.indimmediate AS immediate,
       i.indnullsnotdistinct AS nulls_not_distinct,
       pg_catalog.pg_get_expr(i.indpred, i.indrelid) AS predicate,
       pg_catalog.pg_get_expr(i.indexprs, i.indrelid) AS expressions,
       k.conname AS constraint, pg_catalog.pg_get_indexdef(i.indexrelid) AS definition,
       coalesce(c.reloptions, '{}') AS options, s.spcname AS tablespace,
       i.indisclustered AS clustered, i.indisreplident AS replica_identity,
       pg_catalog.obj_description(c.oid, 'pg_class') AS comment,
       coalesce(pg_catalog.pg_relation_size(c.oid), 0) AS bytes,
       ARRAY(SELECT a.attname::text
               FROM pg_catalog.pg_attribute AS a
              WHERE a.attrelid = i.indrelid
                AND (a.attnum = ANY (i.indkey::int2[]) AND a.attnum > 0
                     OR EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                                 WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
                                   AND d.refobjid = i.indrelid AND d.refobjsubid = a.attnum
                                   AND (d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                                        AND d.objid = i.indexrelid
                                        OR d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass
                                        AND d.objid = k.oid)))
                AND a.attnum > 0
              ORDER BY a.attnum) AS uses
  FROM pg_catalog.pg_index AS i
  JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_am AS m ON m.oid = c.relam
  LEFT JOIN pg_catalog.pg_tablespace AS s ON s.oid = c.reltablespace
  LEFT JOIN pg_catalog.pg_constraint AS k
    ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x')
 WHERE i.indrelid = ANY (%(oids)s::oid[])
 ORDER BY i.indrelid, c.relname
"""

#: One row for each column of each index. "Default" operator class is decided as the server decides it: the one that
#: is the default for exactly this type, and only if there is none, one that is the default for a coercible type.
INDEX_COLUMNS = """
WITH RECURSIVE entry AS (
    SELECT i.indexrelid, i.indrelid, p.n::int AS n, p.n <= i.indnkeyatts AS is_key,
           i.indkey[p.n - 1] AS attnum, i.indclass[p.n - 1] AS opclass,
           i.indcollation[p.n - 1] AS collation, coalesce(i.indoption[p.n - 1], 0)::int AS option
      FROM pg_catalog.pg_index AS i
     CROSS JOIN LATERAL pg_catalog.generate_series(1, i.indnatts) AS p (n)
     WHERE i.indrelid = ANY (%(oids)s::oid[])
), typed AS (
    SELECT e.*, a.attname, a.attcollation, ia.attoptions, nullif(ia.attstattarget, -1)::int AS target,
           coalesce(a.atttypid, ia.atttypid) AS type
      FROM entry AS e
      JOIN pg_catalog.pg_attribute AS ia ON ia.attrelid = e.indexrelid AND ia.attnum = e.n
      LEFT JOIN pg_catalog.pg_attribute AS a
        ON a.attrelid = e.indrelid AND a.attnum = e.attnum AND e.attnum <> 0
), base (origin, type) AS (
    SELECT DISTINCT type, type FROM typed
    UNION ALL
    SELECT b.origin, t.typbasetype FROM base AS b JOIN pg_catalog.pg_type AS t ON t.oid = b.type
     WHERE t.typtype = 'd'
)
SELECT e.indexrelid::bigint AS index_oid, e.n, e.is_key, e.attname AS "column",
       CASE WHEN e.attnum = 0 THEN pg_catalog.pg_get_indexdef(e.indexrelid, e.n, false) END AS expression,
       CASE WHEN e.attoptions IS NOT NULL
                 OR NOT coalesce(
                        (SELECT d.oid = o.oid FROM pg_catalog.pg_opclass AS d
                          WHERE d.opcmethod = o.opcmethod AND d.opcintype = b.type AND d.opcdefault LIMIT 1),
                        o.opcdefault)
            THEN pg_catalog.quote_ident(onn.nspname) || '.' || pg_catalog.quote_ident(o.opcname)
                 || coalesce('(' || (SELECT pg_catalog.string_agg(
                                                pg_catalog.quote_ident(pg_catalog.split_part(x, '=', 1)) || '='
                                                || pg_catalog.quote_literal(
                                                       pg_catalog.substr(x, pg_catalog.strpos(x, '=') + 1)), ', ')
                                       FROM pg_catalog.unnest(e.attoptions) AS x) || ')', '') END AS opclass,
       CASE WHEN e.collation <> 0 AND e.collation <> coalesce(e.attcollation, 100)
            THEN pg_catalog.quote_ident(cn.nspname) || '.' || pg_catalog.quote_ident(cl.collname) END AS collation,
       (e.option & 1) <> 0 AS descending, (e.option & 2) <> 0 AS nulls_first,
       e.target
  FROM typed AS e
  JOIN base AS b ON b.origin = e.type
  JOIN pg_catalog.pg_type AS bt ON bt.oid = b.type AND bt.typtype <> 'd'
  LEFT JOIN pg_catalog.pg_opclass AS o ON o.oid = e.opclass
  LEFT JOIN pg_catalog.pg_namespace AS onn ON onn.oid = o.opcnamespace
  LEFT JOIN pg_catalog.pg_collation AS cl ON cl.oid = e.collation
  LEFT JOIN pg_catalog.pg_namespace AS cn ON cn.oid = cl.collnamespace
 ORDER BY e.indexrelid, e.n
"""

CONSTRAINTS = """
SELECT k.conrelid::bigint AS oid, k.conname AS name, k.contype::text AS kind,
       ARRAY(SELECT a.attname::text
               FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY AS u (attnum, n)
               JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = u.attnum
              ORDER BY u.n) AS columns,
       pg_catalog.pg_get_constraintdef(k.oid) AS definition,
       k.convalidated AS validated, k.condeferrable AS deferrable, k.condeferred AS deferred,
       rn.nspname AS ref_schema, r.relname AS ref_name,
       ARRAY(SELECT a.attname::text
               FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY AS u (attnum, n)
               JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = u.attnum
              ORDER BY u.n) AS reference_columns,
       CASE WHEN k.contype = 'f' THEN k.confdeltype::text ELSE 'a' END AS on_delete,
       CASE WHEN k.contype = 'f' THEN k.confupdtype::text ELSE 'a' END AS on_update,
       CASE WHEN k.contype IN ('p', 'u', 'x') THEN ic.relname END AS index,
       pg_catalog.obj_description(k.oid, 'pg_constraint') AS comment,
       CASE WHEN k.contype = 'c' THEN pg_catalog.pg_get_expr(k.conbin, k.conrelid) END AS expression,
       ARRAY(SELECT 'OPERATOR(' || pg_catalog.quote_ident(opn.nspname) || '.' || op.oprname || ')'
               FROM pg_catalog.unnest(k.conexclop) WITH ORDINALITY AS u (operator, n)
               JOIN pg_catalog.pg_operator AS op ON op.oid = u.operator
               JOIN pg_catalog.pg_namespace AS opn ON opn.oid = op.oprnamespace
              ORDER BY u.n) AS operators,
       coalesce((pg_catalog.to_jsonb(k) ->> 'conperiod')::boolean, false) AS period
  FROM pg_catalog.pg_constraint AS k
  LEFT JOIN pg_catalog.pg_class AS r ON r.oid = k.confrelid AND k.contype = 'f'
  LEFT JOIN pg_catalog.pg_namespace AS rn ON rn.oid = r.relnamespace
  LEFT JOIN pg_catalog.pg_class AS ic ON ic.oid = k.conindid
 WHERE k.conrelid = ANY (%(oids)s::oid[]) AND k.contype IN ('p', 'u', 'f', 'c', 'x', 'n')
 ORDER BY k.conrelid, k.conname
"""

INBOUND = """
SELECT k.confrelid::bigint AS oid, k.conname AS name, n.nspname AS schema, c.relname AS "table",
       ARRAY(SELECT a.attname::text
               FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY AS u (attnum, n)
               JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = u.attnum
              ORDER BY u.n) AS columns,
       ARRAY(SELECT a.attname::text
               FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY AS u (attnum, n)
               JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = u.attnum
              ORDER BY u.n) AS target_columns,
       k.confdeltype::text AS on_delete
  FROM pg_catalog.pg_constraint AS k
  JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE k.contype = 'f' AND k.confrelid = ANY (%(oids)s::oid[]) AND k.conparentid = 0
 ORDER BY k.confrelid, n.nspname, c.relname, k.conname
"""

TRIGGERS = """
SELECT t.tgrelid::bigint AS oid, t.tgname AS name,
       pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(p.proname) AS function,
       CASE WHEN t.tgtype & 64 <> 0 THEN 'instead' WHEN t.tgtype & 2 <> 0 THEN 'before' ELSE 'after' END AS timing,
       t.tgtype & 1 <> 0 AS row,
       pg_catalog.array_remove(ARRAY[
           CASE WHEN t.tgtype & 4 <> 0 THEN 'insert' END, CASE WHEN t.tgtype & 16 <> 0 THEN 'update' END,
           CASE WHEN t.tgtype & 8 <> 0 THEN 'delete' END, CASE WHEN t.tgtype & 32 <> 0 THEN 'truncate' END
       ], NULL) AS events,
       t.tgenabled::text AS enabled, pg_catalog.pg_get_triggerdef(t.oid) AS definition
  FROM pg_catalog.pg_trigger AS t
  JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid
  JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
 WHERE t.tgrelid = ANY (%(oids)s::oid[]) AND NOT t.tgisinternal
 ORDER BY t.tgrelid, t.tgname
"""

STATISTICS = """
SELECT s.stxrelid::bigint AS oid, n.nspname AS schema, s.stxname AS name,
       ARRAY(SELECT a.attname::text
               FROM pg_catalog.pg_attribute AS a
              WHERE a.attrelid = s.stxrelid AND a.attnum > 0
                AND (a.attnum = ANY (s.stxkeys::int2[])
                     OR EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                                 WHERE d.classid = 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass
                                   AND d.objid = s.oid
                                   AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
                                   AND d.refobjid = s.stxrelid AND d.refobjsubid = a.attnum))
              ORDER BY a.attnum) AS columns,
       pg_catalog.pg_get_statisticsobjdef(s.oid) AS definition,
       nullif(s.stxstattarget, -1)::int AS target,
       pg_catalog.obj_description(s.oid, 'pg_statistic_ext') AS comment
  FROM pg_catalog.pg_statistic_ext AS s
  JOIN pg_catalog.pg_namespace AS n ON n.oid = s.stxnamespace
 WHERE s.stxrelid = ANY (%(oids)s::oid[])
 ORDER BY s.stxrelid, n.nspname, s.stxname
"""
