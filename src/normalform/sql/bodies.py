"""The SQL that reads what the statement reader needs: relations and their columns, functions with their bodies, views.

Reads the catalogs alone, needs no right beyond PUBLIC's, and leaves out what belongs to the server, to extensions and
to our ledger.
"""

from __future__ import annotations

from typing import LiteralString

#: Every relation there is, with those of its columns that are named like one of %(names)s.
RELATIONS: LiteralString = """
SELECT n.nspname, c.relname, coalesce(array_agg(a.attname::text) FILTER (WHERE a.attname IS NOT NULL), '{}')
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
       AND a.attname = ANY (%(names)s::text[])
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
 GROUP BY 1, 2
"""

#: Functions that return rows of one of the tables %(tables)s.
MAKERS: LiteralString = """
SELECT n.nspname, p.proname, rn.nspname, rc.relname
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  JOIN pg_catalog.pg_type t ON t.oid = p.prorettype AND t.typrelid = ANY (%(tables)s::oid[])
  JOIN pg_catalog.pg_class rc ON rc.oid = t.typrelid
  JOIN pg_catalog.pg_namespace rn ON rn.oid = rc.relnamespace
"""

#: Functions whose text holds one of %(words)s, that run SQL of their own making, or that the catalog ties to one of the
#: tables %(tables)s: by a trigger, an argument, an SQL-standard body. Types are printed with their schemas.
FUNCTIONS: LiteralString = """
SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(p.proname)
           || '(' || pg_catalog.oidvectortypes(p.proargtypes) || ')' AS signature,
       l.lanname AS language, p.prorettype::regtype::text AS returns_type, p.proconfig AS settings,
       coalesce(nullif(p.prosrc, ''), pg_catalog.pg_get_function_sqlbody(p.oid)) AS body,
       p.prosqlbody IS NOT NULL AS standard,
       (SELECT ARRAY[rn.nspname, rc.relname] FROM pg_catalog.pg_type rt
          JOIN pg_catalog.pg_class rc ON rc.oid = rt.typrelid
          JOIN pg_catalog.pg_namespace rn ON rn.oid = rc.relnamespace
         WHERE rt.oid = p.prorettype) AS returns,
       (SELECT json_agg(json_build_object('name', coalesce(p.proargnames[a.i], ''),
                                          'given', coalesce(p.proargmodes[a.i], 'i') IN ('i', 'b', 'v'),
                                          'relation', CASE WHEN ac.oid IS NOT NULL
                                                           THEN json_build_array(an.nspname, ac.relname) END)
                        ORDER BY a.i)
          FROM unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) WITH ORDINALITY AS a(type, i)
          JOIN pg_catalog.pg_type at ON at.oid = a.type
          LEFT JOIN pg_catalog.pg_class ac ON ac.oid = at.typrelid
          LEFT JOIN pg_catalog.pg_namespace an ON an.oid = ac.relnamespace) AS arguments,
       (SELECT json_agg(json_build_object('relation', json_build_array(tn.nspname, tc.relname),
                                          'transitions', array_remove(ARRAY[t.tgoldtable, t.tgnewtable], NULL)))
          FROM pg_catalog.pg_trigger t
          JOIN pg_catalog.pg_class tc ON tc.oid = t.tgrelid
          JOIN pg_catalog.pg_namespace tn ON tn.oid = tc.relnamespace
         WHERE t.tgfoid = p.oid AND NOT t.tgisinternal) AS triggers
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  JOIN pg_catalog.pg_language l ON l.oid = p.prolang
 WHERE l.lanname NOT IN ('internal', 'c')
   AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'normalform')
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                    WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
   AND (EXISTS (SELECT FROM unnest(%(words)s::text[]) AS w(word)
                 WHERE pg_catalog.strpos(pg_catalog.lower(p.prosrc), pg_catalog.lower(w.word)) > 0)
        OR l.lanname = 'plpgsql' AND p.prosrc ~* '\\mexecute\\M'
        OR EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgfoid = p.oid AND t.tgrelid = ANY (%(tables)s::oid[]))
        OR EXISTS (SELECT FROM pg_catalog.pg_type t WHERE t.oid = ANY (p.proargtypes::oid[])
                      AND t.typrelid = ANY (%(tables)s::oid[]))
        OR EXISTS (SELECT FROM pg_catalog.pg_depend d
                    WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid
                      AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = ANY (%(tables)s::oid[])))
 ORDER BY 1
"""

#: Views on any of the tables %(tables)s, with their definitions.
VIEWS: LiteralString = """
SELECT DISTINCT n.nspname, c.relname, c.relkind = 'm', pg_catalog.pg_get_viewdef(c.oid)
  FROM pg_catalog.pg_depend d
  JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND r.oid = d.objid
  JOIN pg_catalog.pg_class c ON c.oid = r.ev_class AND c.relkind IN ('v', 'm')
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = ANY (%(tables)s::oid[]) AND c.oid <> d.refobjid
 ORDER BY 1, 2
"""

#: The schema of pg_stat_statements, where this database has it.
STATEMENTS_AT: LiteralString = """
SELECT n.nspname FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
 WHERE e.extname = 'pg_stat_statements'
"""
