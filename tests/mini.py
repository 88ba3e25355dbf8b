# ruff: noqa: E501  (rows of SQL read better on one line)
"""A small PhotoCat: every shape of the legacy schema in six tables, and its spec. Shared by the integration tests."""

from __future__ import annotations

from normalform.core.spec import Spec
from normalform.core.spec_file import parse

SCHEMA = """
CREATE TABLE public.tenants (id varchar(255) PRIMARY KEY, name text NOT NULL);
CREATE TABLE public.keyword_categories (
    id serial PRIMARY KEY, tenant_id varchar(50) NOT NULL, name varchar(100) NOT NULL,
    parent_id integer REFERENCES public.keyword_categories ON DELETE CASCADE,
    sort_order integer NOT NULL DEFAULT 0,
    CONSTRAINT uq_category UNIQUE (tenant_id, name, parent_id));
CREATE TABLE public.keywords (
    id serial PRIMARY KEY, category_id integer NOT NULL REFERENCES public.keyword_categories ON DELETE CASCADE,
    keyword varchar(100) NOT NULL, prompt text, sort_order integer NOT NULL DEFAULT 0,
    CONSTRAINT uq_keyword UNIQUE (category_id, keyword));
CREATE TABLE public.people (
    id serial PRIMARY KEY, tenant_id varchar(50) NOT NULL, name varchar(100) NOT NULL, aliases json,
    CONSTRAINT uq_person UNIQUE (tenant_id, name));
CREATE TABLE public.image_metadata (id serial PRIMARY KEY, tenant_id varchar(255) NOT NULL, filename varchar(512));
CREATE TABLE public.machine_tags (
    id serial PRIMARY KEY, image_id integer NOT NULL REFERENCES public.image_metadata ON DELETE CASCADE,
    tenant_id varchar(255) NOT NULL, keyword varchar(255) NOT NULL, category varchar(255),
    confidence double precision NOT NULL DEFAULT 1, tag_type varchar(50) NOT NULL DEFAULT 'm');
CREATE INDEX ix_machine_tags_type ON public.machine_tags (tenant_id, tag_type, keyword);
CREATE UNIQUE INDEX uq_machine_tags ON public.machine_tags (tenant_id, image_id, keyword, tag_type);
CREATE TABLE public.permatags (
    id serial PRIMARY KEY, tenant_id varchar(50) NOT NULL, image_id integer NOT NULL REFERENCES public.image_metadata ON DELETE CASCADE,
    keyword varchar(100) NOT NULL, category varchar(100), signum integer NOT NULL DEFAULT 1,
    CONSTRAINT uq_permatag UNIQUE (tenant_id, image_id, keyword));
CREATE TABLE public.image_tags (
    id serial PRIMARY KEY, image_id integer NOT NULL REFERENCES public.image_metadata,
    tenant_id varchar(255), keyword varchar(255) NOT NULL, category varchar(255), manual boolean);
CREATE INDEX ix_image_tags_keyword ON public.image_tags (keyword);
CREATE TABLE public.keyword_models (
    id serial PRIMARY KEY, tenant_id varchar(255) NOT NULL, keyword varchar(255) NOT NULL, model_name varchar(100) NOT NULL);
CREATE UNIQUE INDEX uq_keyword_models ON public.keyword_models (tenant_id, keyword, model_name);
CREATE TABLE public.detected_faces (
    id serial PRIMARY KEY, image_id integer NOT NULL REFERENCES public.image_metadata,
    tenant_id varchar(255) NOT NULL, person_name varchar(255), confidence double precision);
CREATE INDEX ix_faces_person ON public.detected_faces (tenant_id, person_name);
"""

#: Clean data: tenants t and u; `bridge` stands in two categories of t; people with aliases. Nothing unresolved.
DATA = """
INSERT INTO public.tenants VALUES ('t', 'T'), ('u', 'U');
INSERT INTO public.keyword_categories (id, tenant_id, name, parent_id) VALUES
    (1, 't', 'nature', NULL), (2, 't', 'plants', 1), (3, 't', 'travel', NULL), (4, 't', 'games', NULL), (5, 'u', 'nature', NULL);
INSERT INTO public.keywords (id, category_id, keyword) VALUES
    (1, 2, 'tree'), (2, 3, 'bridge'), (3, 4, 'bridge'), (4, 1, 'sea'), (5, 5, 'tree'), (6, 5, 'sky');
INSERT INTO public.people (id, tenant_id, name, aliases) VALUES
    (1, 't', 'Ada Lovelace', '["Ada", "Countess"]'), (2, 't', 'Alan Turing', NULL), (3, 'u', 'Grace', '[]');
INSERT INTO public.image_metadata (id, tenant_id, filename) SELECT g, 't', 'p' || g FROM generate_series(1, 40) g;
INSERT INTO public.image_metadata (id, tenant_id, filename) SELECT g, 'u', 'p' || g FROM generate_series(41, 50) g;
INSERT INTO public.machine_tags (image_id, tenant_id, keyword, category)
    SELECT g, 't', 'tree', 'nature/plants' FROM generate_series(1, 40) g UNION ALL
    SELECT g, 't', 'bridge', CASE WHEN g % 2 = 0 THEN 'travel' ELSE 'games' END FROM generate_series(1, 30) g UNION ALL
    SELECT g, 'u', 'tree', 'nature' FROM generate_series(41, 50) g;
INSERT INTO public.permatags (tenant_id, image_id, keyword, category)
    SELECT 't', g, 'sea', 'nature' FROM generate_series(1, 20) g;
INSERT INTO public.image_tags (tenant_id, image_id, keyword, category)
    SELECT 't', g, 'tree', NULL FROM generate_series(1, 10) g UNION ALL
    SELECT 'u', g, 'sky', 'nature' FROM generate_series(41, 45) g;
INSERT INTO public.keyword_models (tenant_id, keyword, model_name) VALUES ('t', 'tree', 'm1'), ('t', 'sea', 'm1'), ('u', 'tree', 'm1');
INSERT INTO public.detected_faces (image_id, tenant_id, person_name) VALUES
    (1, 't', 'Ada Lovelace'), (2, 't', 'Ada'), (3, 't', 'Alan Turing'), (4, 't', NULL), (5, 't', 'Nobody Known'), (41, 'u', 'Grace');
SELECT setval(pg_get_serial_sequence('public.' || t, 'id'), 1000) FROM unnest(
    ARRAY['keyword_categories', 'keywords', 'people', 'image_metadata']) t;
"""

SPEC_TEXT = """
version = 1

[lookup.keyword]
table = "public.keywords"
key = "id"
text = "keyword"
unique = ["tenant_id", "category_id", "keyword"]

[lookup.keyword.scope]
add = "tenant_id"
copy = "public.keyword_categories.tenant_id"
join = "category_id"

[lookup.keyword.qualifier]
path = "public.keyword_categories.name"
join = "category_id"
parent = "parent_id"
separator = "/"

[lookup.keyword.new_row]
category_id = { from = "qualifier", otherwise = "Unsorted" }

[lookup.person]
table = "public.people"
key = "id"
text = "name"
aliases = "aliases"
scope = "tenant_id"

[defaults.reference]
lookup = "keyword"
text = "keyword"
qualifier = "category"
scope = "tenant_id"
add = "keyword_id"

[reference.machine_tags]
table = "public.machine_tags"
[reference.permatags]
table = "public.permatags"
[reference.image_tags]
table = "public.image_tags"
[reference.keyword_models]
table = "public.keyword_models"
qualifier = false
[reference.faces]
table = "public.detected_faces"
lookup = "person"
text = "person_name"
qualifier = false
add = "person_id"
required = false
keep_text = true
"""


def spec(text: str = SPEC_TEXT) -> Spec:
    """Return the spec of the small PhotoCat."""
    return parse(text)
