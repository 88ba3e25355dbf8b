-- Everything of PhotoCat and Normalform that stands in the database goes. Whatever belongs to an extension stays.
SET lock_timeout = '10s';
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS normalform CASCADE;
DO $clear$
DECLARE
    commands text[];
    command text;
BEGIN
    -- Lists first: what a CASCADE has taken would otherwise be looked at while it goes.
    SELECT pg_catalog.array_agg(
        pg_catalog.format(
            'DROP %s IF EXISTS public.%I CASCADE',
            CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
                WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END,
            c.relname))
    INTO commands
    FROM pg_catalog.pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
            WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e');
    FOREACH command IN ARRAY coalesce(commands, '{}') LOOP
        EXECUTE command;
    END LOOP;

    SELECT pg_catalog.array_agg(pg_catalog.format('DROP ROUTINE IF EXISTS %s CASCADE', p.oid::regprocedure))
    INTO commands
    FROM pg_catalog.pg_proc p
    WHERE p.pronamespace = 'public'::regnamespace
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
            WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e');
    FOREACH command IN ARRAY coalesce(commands, '{}') LOOP
        EXECUTE command;
    END LOOP;

    SELECT pg_catalog.array_agg(pg_catalog.format('DROP TYPE IF EXISTS public.%I CASCADE', t.typname))
    INTO commands
    FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
    WHERE t.typnamespace = 'public'::regnamespace
        AND (t.typtype IN ('e', 'd', 'r') OR t.typtype = 'c' AND c.relkind = 'c')
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
            WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e');
    FOREACH command IN ARRAY coalesce(commands, '{}') LOOP
        EXECUTE command;
    END LOOP;
END
$clear$;
