"""When to try again: a pure policy. Waits are seconds; the first error is never shown as a failure."""

from __future__ import annotations

import random
from collections.abc import Iterator

#: SQLSTATEs after which the same statement may succeed: nothing of it has happened.
LOCK_NOT_AVAILABLE = "55P03"
QUERY_CANCELED = "57014"  # statement_timeout; our own Ctrl-C never cancels a statement
DEADLOCK = "40P01"
SERIALIZATION = "40001"
RETRYABLE = frozenset({LOCK_NOT_AVAILABLE, QUERY_CANCELED, DEADLOCK, SERIALIZATION})

#: lock_timeout and statement_timeout of metadata DDL, in milliseconds: what a queue behind us may wait at most,
#: below the default deadlock_timeout of 1 s.
METADATA_TIMEOUT_MS = 700
FIRST_WAIT = 0.2
LONGEST_WAIT = 15.0


def waits(seed: int | None = None) -> Iterator[float]:
    """Yield seconds to wait before each further try, for ever: doubling, capped, with full jitter.

    Jitter keeps two waiters from meeting again and again (AWS Architecture Blog, "Exponential Backoff And Jitter").
    """
    source = random.Random(seed)  # noqa: S311  (jitter, not a secret)
    ceiling = FIRST_WAIT
    while True:
        yield source.uniform(ceiling / 2, ceiling)
        ceiling = min(ceiling * 2, LONGEST_WAIT)
