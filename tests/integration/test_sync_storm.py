"""Writers of both kinds, renames, moves, deletes and batches all at once; afterwards text and key say the same."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial

import psycopg
import pytest

from fix_servers import Database, template
from normalform.db.carry import carry_pending
from normalform.db.work import Context
from normalform.sql import gates
from syncing import DISAGREEING, expanded, with_lines

Make = Callable[..., Database]
NO_UNIQUE = "ALTER TABLE public.keywords DROP CONSTRAINT uq_keyword;"
#: A queued rename that meets a unique waits for an operator (see test_sync_rename); here it should not.
FREE = (
    "DROP INDEX public.uq_machine_tags, public.uq_keyword_models; "
    "ALTER TABLE public.permatags DROP CONSTRAINT uq_permatag;"
)
SPECS = {
    "defer": with_lines(),
    "create": with_lines(machine_tags='on_unknown = "create"'),
    "queue": with_lines(lookup='rename = "queue"', machine_tags='on_delete = "cascade"'),
}
STORM = {
    name: template(f"storm-{name}", expanded(text, before=NO_UNIQUE + (FREE if name == "queue" else "")))
    for name, text in SPECS.items()
}
WORDS = ["tree", "bridge", "sea", "arbre", "pont", "mer"]
CATEGORIES = ["nature", "nature/plants", "travel", "games"]
#: What an application may meet: refused, unique, deadlock between applications, try again.
EXPECTED = {"23503", "23505", "23514", "40P01", "40001"}
STEPS = 60


def write(choose: random.Random, *, unique: bool) -> str:
    """Return one statement of an application, old or new."""
    columns = "INSERT INTO machine_tags (image_id, tenant_id, "
    target = "(tenant_id, image_id, keyword, tag_type) DO UPDATE SET category = excluded.category"
    conflict = f"ON CONFLICT {target if unique else 'DO NOTHING'}"
    image, word, category = choose.randint(1, 40), choose.choice(WORDS), choose.choice([*CATEGORIES, None])
    q = "NULL" if category is None else f"'{category}'"
    one = f"tenant_id = 't' AND image_id = {image}"
    some_key = "(SELECT k.id FROM keywords k WHERE k.tenant_id = 't' ORDER BY random() LIMIT 1)"
    kind = f"tag_type, confidence) VALUES ({image}, 't', "
    return choose.choice(
        [
            f"{columns}keyword, category, {kind}'{word}', {q}, 'm', 1) {conflict}",
            f"{columns}keyword_id, {kind}{some_key}, 'n', 1) ON CONFLICT DO NOTHING",
            f"UPDATE machine_tags SET keyword = '{word}' WHERE {one}",
            f"UPDATE machine_tags SET keyword_id = {some_key} WHERE {one}",
            f"UPDATE machine_tags SET category = {q} WHERE {one}",
            f"UPDATE machine_tags SET confidence = confidence + 1 WHERE {one}",
            f"DELETE FROM machine_tags WHERE {one} AND keyword = '{word}'",
        ]
    )


def curate(choose: random.Random) -> str:
    """Return one statement of whoever keeps the keywords."""
    word, other = choose.choice(WORDS), choose.choice(WORDS)
    return choose.choice(
        [
            f"UPDATE keywords SET keyword = '{other}' WHERE tenant_id = 't' AND keyword = '{word}'",
            f"UPDATE keywords SET category_id = {choose.randint(1, 4)} WHERE tenant_id = 't' AND keyword = '{word}'",
            f"UPDATE keyword_categories SET name = '{word}' || id WHERE id = {choose.randint(1, 4)}",
            f"UPDATE keyword_categories SET name = '{choose.choice(CATEGORIES)}' WHERE id = {choose.randint(3, 4)}",
            f"INSERT INTO keywords (category_id, keyword) VALUES ({choose.randint(1, 4)}, '{word}')",
            f"DELETE FROM keywords WHERE tenant_id = 't' AND keyword = '{word}'",
        ]
    )


def run(
    db: Database, statement: Callable[[random.Random], str], seed: int, seen: Counter[str], *, repeatable: bool
) -> None:
    choose = random.Random(seed)
    with db.connect("app") as app:
        for _ in range(STEPS):
            level = "REPEATABLE READ" if repeatable and choose.random() < 0.15 else "READ COMMITTED"
            try:
                with app.transaction():
                    app.execute(f"SET TRANSACTION ISOLATION LEVEL {level}".encode())
                    for _ in range(choose.randint(1, 3)):
                        app.execute(statement(choose).encode())
            except psycopg.Error as error:
                seen[error.sqlstate or "gone"] += 1


def fill(db: Database, seed: int, seen: Counter[str]) -> None:
    """What a batch does: its gate first, then one statement over rows that it can lock."""
    batch = (
        "WITH v AS MATERIALIZED (SELECT t.ctid AS tid, r.nf_id FROM public.machine_tags t, "
        "LATERAL normalform.sync_resolve_machine_tags(t.tenant_id, t.keyword, t.category) r "
        "WHERE t.keyword_id IS NULL AND r.nf_id IS NOT NULL), "
        "l AS MATERIALIZED (SELECT v.* FROM v JOIN public.machine_tags t ON t.ctid = v.tid "
        "WHERE t.keyword_id IS NULL FOR NO KEY UPDATE OF t SKIP LOCKED) "
        "UPDATE public.machine_tags t SET keyword_id = l.nf_id FROM l WHERE t.ctid = l.tid AND t.keyword_id IS NULL"
    )
    with db.connect() as owner:
        for number in range(STEPS // 2):
            try:
                with owner.transaction():
                    owner.execute("SELECT set_config('normalform.batch', 'on', true)")
                    owner.execute("SET LOCAL statement_timeout = '400ms'")
                    if owner.execute(gates.exclusive("keyword", (seed + number) % gates.SLOTS).encode()).fetchone() == (
                        True,
                    ):
                        owner.execute(batch.encode())
            except psycopg.errors.QueryCanceled:
                seen["given up"] += 1


@pytest.mark.slow
@pytest.mark.parametrize("name", SPECS)
def test_text_and_key_say_the_same_after_a_storm(database: Make, engine: Callable[..., Context], name: str) -> None:
    db = database(STORM[name])
    seen: Counter[str] = Counter()
    application = partial(write, unique=name != "queue")
    # A rename of a REPEATABLE READ transaction always goes to the queue, where a unique would stop it for good.
    repeatable = {"repeatable": name == "queue"}
    threads = [threading.Thread(target=run, args=(db, application, s, seen), kwargs=repeatable) for s in range(4)]
    threads += [threading.Thread(target=run, args=(db, curate, s, seen), kwargs=repeatable) for s in (10, 11)]
    threads += [threading.Thread(target=fill, args=(db, 20, seen))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) <= EXPECTED | {"given up"}, seen
    carry_pending(engine(db.url, SPECS[name]))
    assert db.rows(DISAGREEING) == []
    others = "SELECT t.id FROM permatags t LEFT JOIN keywords k ON k.id = t.keyword_id WHERE t.keyword_id IS NOT NULL "
    assert db.rows(others + "AND (k.keyword, k.tenant_id) IS DISTINCT FROM (t.keyword, t.tenant_id)") == []
