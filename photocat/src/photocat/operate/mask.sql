-- People's names become `Person 0f3a…`: equal names of a tenant stay equal, so that names, aliases and faces still
-- belong together. The key is drawn anew each time and kept nowhere, so that nobody can try names out.
\getenv photocat_mask_key PHOTOCAT_MASK_KEY
SELECT pg_catalog.set_config('photocat.mask_key', :'photocat_mask_key', true);
CREATE FUNCTION pg_temp.masked(tenant text, name text) RETURNS text LANGUAGE sql STABLE AS $masked$
    SELECT 'Person ' || pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(
        pg_catalog.current_setting('photocat.mask_key') || '/' || coalesce(tenant, '') || '/' || name, 'UTF8')), 'hex'), 16)
$masked$;
UPDATE public.people SET
    name = pg_temp.masked(tenant_id, name),
    face_embedding_ref = pg_temp.masked(tenant_id, face_embedding_ref),
    aliases = CASE pg_catalog.json_typeof(aliases)
        WHEN 'array' THEN (
            SELECT coalesce(pg_catalog.json_agg(CASE pg_catalog.json_typeof(alias.value)
                WHEN 'string' THEN pg_catalog.to_json(pg_temp.masked(tenant_id, alias.value #>> '{}'))
                ELSE 'null'::json END), '[]'::json)
            FROM pg_catalog.json_array_elements(aliases) AS alias (value))
        ELSE CASE WHEN aliases IS NULL THEN NULL ELSE 'null'::json END
    END;
UPDATE public.detected_faces SET person_name = pg_temp.masked(tenant_id, person_name) WHERE person_name IS NOT NULL;
UPDATE public.permatags SET created_by = pg_temp.masked(tenant_id, created_by) WHERE created_by IS NOT NULL;
