"""A small PhotoCat with every defect that a decision can settle, and decision files as a few words. For
test_resolve*.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import psycopg

import mini
from fix_servers import template
from normalform.core.decision_file import Line, write
from normalform.core.mapping import Candidate

#: What `mini` has not: orphans, near duplicates, equal names under one path, rows that collide, tables that refer.
DIRT = """
ALTER TABLE public.keywords ADD COLUMN note json;
UPDATE public.keywords SET note = '{"b": 1,   "a": 2.50}';
INSERT INTO public.keyword_categories (id, tenant_id, name, parent_id) VALUES (6, 't', 'travel', NULL);
INSERT INTO public.keywords (id, category_id, keyword, note) VALUES
    (7, 3, 'beach', '{"x":  1}'), (8, 6, 'beach', NULL), (9, 4, 'chess', NULL), (10, 4, 'Chess ', NULL);
CREATE TABLE public.keyword_links (
    keyword_id integer NOT NULL REFERENCES public.keywords (id), image_id integer NOT NULL, "we""ight" numeric(6, 3),
    PRIMARY KEY (keyword_id, image_id));
CREATE TABLE public.link_notes (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, keyword_id integer, image_id integer, said text,
    FOREIGN KEY (keyword_id, image_id) REFERENCES public.keyword_links ON DELETE CASCADE);
CREATE TABLE public.favourites (
    id integer GENERATED ALWAYS AS IDENTITY, owner text, keyword_id integer REFERENCES public.keywords ON DELETE SET
NULL); INSERT INTO public.keyword_links VALUES (7, 1, 1.5), (8, 1, 2.25), (8, 2, 3), (9, 3, 0.1), (10, 4, 0.2);
INSERT INTO public.link_notes (keyword_id, image_id, said) VALUES (8, 1, 'a'), (8, 2, 'b'), (7, 1, 'c');
INSERT INTO public.favourites (owner, keyword_id) VALUES ('ann', 8), ('ann', 8), ('bob', 7), ('cat', 10);
INSERT INTO public.image_tags (tenant_id, image_id, keyword, category) VALUES
    ('t', 1, 'bridge', NULL), ('t', 2, 'bridge', NULL), ('t', 3, 'bridge', 'somewhere'), ('t', 4, 'beach', 'travel'),
    ('t', 5, 'lyra', NULL), ('t', 6, 'lyra', 'travel'), ('t', 7, 'lyra', 'nowhere'), ('u', 41, 'lyra', 'nature'),
    ('t', 8, ' Sea ', 'nature'), ('t', 9, 'sea', 'games'), (NULL, 10, 'tree', NULL), ('ghost', 11, 'tree', 'nature'),
    ('t', 12, 'Chess ', 'games'), ('t', 13, '=1+1', NULL);
INSERT INTO public.permatags (tenant_id, image_id, keyword, category, signum) VALUES
    ('t', 22, 'beach', 'travel', 1),
    ('t', 21, 'SEA', 'nature', -1), ('t', 1, 'SEA', 'nature', -1), ('t', 2, 'sea ', NULL, -1), ('t', 2, 'SEA', NULL,
-1); INSERT INTO public.keyword_models (tenant_id, keyword, model_name) VALUES ('t', 'bridge', 'm1'), ('t', 'chess',
'm1'); INSERT INTO public.machine_tags (image_id, tenant_id, keyword, category) VALUES (39, 't', repeat('w', 120),
NULL);
"""


def build(url: str) -> None:
    """Build the template."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(mini.SCHEMA.encode())
        conn.execute(mini.DATA.encode())
        conn.execute(DIRT.encode())


TEMPLATE = template("resolving", build)
Word = tuple[str, str | None, str, str | None, str, str]


def line(
    reference: str, tenant: str | None, text: str, qualifier: str | None, decision: str, target: str = "", *keys: str
) -> Line:
    """Return a decided line; `keys` are its candidates."""
    candidates = tuple(Candidate(k, text, qualifier) for k in keys)
    return Line(0, reference, (tenant,), text, qualifier, 0, candidates, "", decision, target)


def file(folder: Path, lines: Sequence[Line], name: str = "decisions.csv") -> Path:
    """Write a decision file."""
    path = folder / name
    path.write_bytes(write(lines).encode())
    return path


#: One file for each word, that stands alone.
CASES: dict[str, list[Line]] = {
    "choose": [line("image_tags", "t", "bridge", None, "choose", "2")],
    "fold": [
        line("image_tags", "t", " Sea ", "nature", "fold"),
        line("permatags", "t", "SEA", "nature", "fold", "4"),
    ],
    "merge same path": [line("image_tags", "t", "beach", "travel", "merge", "7", "7", "8")],
    "merge twice": [
        line("image_tags", "t", "beach", "travel", "merge", "7", "7", "8"),
        line("permatags", "t", "beach", "travel", "merge", "7", "7", "8"),
    ],
    "merge near duplicate": [line("lookup.keyword", "t", "Chess ", "games", "merge", "9")],
    "rename": [
        line("image_tags", "t", "bridge", None, "choose", "3"),
        line("image_tags", "t", "bridge", "somewhere", "drop"),
        line("keyword_models", "t", "bridge", None, "split"),
        line("lookup.keyword", "t", "bridge", "travel", "rename", "bridge_travel"),
    ],
    "rename alone": [line("lookup.keyword", "t", "tree", "nature/plants", "rename", "arbre")],
    "create": [
        line("image_tags", "t", "lyra", "travel", "create"),
        line("image_tags", "t", "lyra", None, "create"),
        line("image_tags", "u", "lyra", "nature", "create", "nature"),
        line("image_tags", "t", "=1+1", None, "create"),
    ],
    "create wide": [line("machine_tags", "t", "w" * 120, None, "create", "nature/plants")],
    "drop": [
        line("image_tags", "t", "lyra", None, "drop"),
        line("image_tags", None, "tree", None, "drop"),
        line("image_tags", "ghost", "tree", "nature", "drop"),
    ],
    "null": [line("faces", "t", "Nobody Known", None, "null")],
    "split": [line("keyword_models", "t", "bridge", None, "split")],
    "keep": [
        line("permatags", "t", "SEA", "nature", "fold"),
        line("permatags", "t", "SEA", None, "fold"),
        line("permatags", "t", "sea ", None, "fold"),
        line("permatags", "t", "sea", "nature", "keep", "newest"),
    ],
}
