-- After a restore: the application's role may do what it may in every environment, and nobody's token of the other
-- environment is valid here.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO :"photocat_app_role";
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO :"photocat_app_role";
DO $tokens$
BEGIN
    IF pg_catalog.to_regclass('public.api_tokens') IS NOT NULL THEN
        DELETE FROM public.api_tokens;
    END IF;
END
$tokens$;
