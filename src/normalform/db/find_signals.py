"""Findings about the server as it runs: who holds an old transaction, which slots and standbys lag behind.

Decides what is long and what is far behind. Nobody is ended from here. What other roles' sessions hide from this one is
said to be unknown, with the right that would show it.
"""

from __future__ import annotations

from ..core.findings import Severity
from ..sql import signal_findings as queries
from .finder import SAMPLES, Finder, several

SERVER = "server"
#: Seconds from which on a transaction is long: ours never last longer than half of it.
LONG = 60
#: Bytes of WAL from which on a slot or a standby is far behind.
FAR = 1 << 30


def find(finder: Finder) -> None:
    """Add what the server's own views say about others."""
    _transactions(finder)
    for code, query, name, plural in (
        ("NF405", queries.slots(), "replication slot", "replication slots"),
        ("NF406", queries.standbys(), "standby", "standbys"),
    ):
        rows = finder.rows(SERVER, code, query)
        if not rows:
            continue
        bad = [r for r in rows if troubled(r)]
        behind = max((int(r["bytes_behind"] or 0) for r in rows), default=0)
        title = f"{several(len(rows), name, plural)}, {len(bad):,} in trouble; at most {behind:,} bytes behind"
        finder.add(code, SERVER, title, query, len(rows), severity=None if bad else Severity.INFO,
                   sample=rows[:SAMPLES], numbers={"bytes_behind": behind, "in_trouble": len(bad)})  # fmt: skip
        unseen = sum(r.get("sync_state") is None for r in rows) if code == "NF406" else 0
        if unseen:
            lag = f"how far {several(unseen, name, plural)} lag"
            finder.unknown(SERVER, code, f"{lag}; GRANT pg_monitor TO {finder.model.catalog.user}")


def troubled(row: dict[str, object]) -> bool:
    """Whether a slot or a standby keeps WAL for nobody, has lost its place, or is far behind."""
    behind = row["bytes_behind"]
    lost = row.get("active") is False or row.get("wal_status") in ("unreserved", "lost")
    return lost or (isinstance(behind, int) and behind > FAR)


def _transactions(finder: Finder) -> None:
    query = queries.long_transactions(LONG)
    asked = finder.ask(SERVER, "NF404", query)
    if asked is not None and asked.count:
        oldest = asked.sample[0]
        who = f"{oldest['role']}, {oldest['application'] or 'no name'}, {oldest['state']}"
        title = f"{several(asked.count, 'transaction')} open for more than {LONG} s; the oldest, of {who}, for "
        finder.add("NF404", SERVER, f"{title}{oldest['seconds']:,} s", query, asked.count, sample=asked.sample)
    hidden = finder.rows(SERVER, "NF404", queries.hidden_sessions())
    if hidden:
        roles = ", ".join(sorted({str(r["role"]) for r in hidden}))
        why = f"{several(len(hidden), 'session')} of {roles} show no transaction; GRANT pg_monitor TO "
        finder.unknown(SERVER, "NF404", why + finder.model.catalog.user)
