"""Certificates: what verify found about a reference, and whether that is a proof.

Decides which kinds of rows are right, which are wrong, what makes a certificate pass, and how two certificates differ.
Reading the rows is ``phases.verify``, classing them is ``sql.proof``. Nothing here may let a wrong row through because
there are few of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from .checksum import NOTHING, Checksum

#: Rows whose text and key say the same, by what makes it so.
RIGHT: Mapping[str, str] = {
    "exact": "the key's lookup row has this scope, text and qualifier",
    "residue": "the text alone decides; the qualifier is missing or another one",
    "alias": "the key's lookup row lists the text as an alias",
    "decided": "an operator's decision says that this value means this key",
    "empty": "neither text nor key",
    "undecided": "text that nothing resolves, in a reference that is not required",
    "nulled": "a decision leaves this value without a key",
}
#: Rows that are wrong, by why.
WRONG: Mapping[str, str] = {
    "null_key": "text without a key",
    "dangling": "the key has no lookup row",
    "cross_scope": "the key's lookup row is in another scope",
    "ambiguous": "several lookup rows in scope have this text, and neither qualifier nor decision picks the key's",
    "contradicted": "a decision says that this value means another key, or none",
    "differing": "the text is not what the key gives",
}
#: Neither: a queued rename, move or delete has yet to be carried to the row.
PENDING = "pending"
KINDS = (*RIGHT, *WRONG, PENDING)

Mode = Literal["live", "snapshot"]
_HIDDEN = "•••"


@dataclass(frozen=True)
class Tally:
    """Rows by kind, and the checksums over what is stored and over what the keys give. Adds up over chunks."""

    kinds: Mapping[str, int] = field(default_factory=dict)
    stored: Checksum = NOTHING
    keyed: Checksum = NOTHING

    def __add__(self, other: Tally) -> Tally:
        kinds = {k: self.kinds.get(k, 0) + other.kinds.get(k, 0) for k in KINDS if k in self.kinds or k in other.kinds}
        return Tally(kinds, self.stored + other.stored, self.keyed + other.keyed)

    def count(self, *kinds: str) -> int:
        """Return how many rows are of the given kinds."""
        return sum(self.kinds.get(kind, 0) for kind in kinds)

    @property
    def rows(self) -> int:
        """How many rows were read."""
        return self.stored.rows

    @property
    def bad(self) -> int:
        """How many rows keep a certificate from passing."""
        return self.count(*WRONG, PENDING)


@dataclass(frozen=True)
class Offence:
    """A row that keeps a certificate from passing.

    Args:
        reference: the reference's name.
        kind: a key of WRONG, or PENDING.
        identity: the row's primary key as text, or its place (ctid) where the table has none.
        scope, text, qualifier: what is stored.
        key: the stored key, as text.
        gives_scope, gives_text, gives_qualifier: what the key gives; all None where it has no lookup row.
    """

    reference: str
    kind: str
    identity: tuple[str, ...]
    scope: tuple[str | None, ...]
    text: str | None
    qualifier: str | None
    key: str | None
    gives_scope: tuple[str | None, ...]
    gives_text: str | None
    gives_qualifier: str | None

    def masked(self, *, identity: Sequence[bool], key: bool) -> Offence:
        """Return it without values of the row.

        Args:
            identity: for each part of the identity, whether it is a mere number and may be shown.
            key: the same for the key.
        """
        return Offence(
            reference=self.reference,
            kind=self.kind,
            identity=tuple(v if shown else _HIDDEN for v, shown in zip(self.identity, identity, strict=True)),
            scope=tuple(map(_hide, self.scope)),
            text=_hide(self.text),
            qualifier=_hide(self.qualifier),
            key=self.key if key else _hide(self.key),
            gives_scope=tuple(map(_hide, self.gives_scope)),
            gives_text=_hide(self.gives_text),
            gives_qualifier=_hide(self.gives_qualifier),
        )

    def __str__(self) -> str:
        """One line for people: the row, what is wrong, what it says and what its key gives."""
        stored = _value(self.scope, self.text, self.qualifier)
        if self.key is None:
            gives = "no key"
        elif self.gives_text is None:
            gives = f"key {self.key}, which leads nowhere"
        else:
            gives = f"key {self.key}, which gives {_value(self.gives_scope, self.gives_text, self.gives_qualifier)}"
        return f"{self.reference} {', '.join(self.identity)}: {self.kind}: {stored} has {gives}"


def _hide(value: str | None) -> str | None:
    return None if value is None else _HIDDEN


def _value(scope: Sequence[str | None], text: str | None, qualifier: str | None) -> str:
    parts = [*scope, text] if qualifier is None else [*scope, text, qualifier]
    return f"({', '.join('NULL' if p is None else repr(p) for p in parts)})"


@dataclass(frozen=True)
class Certificate:
    """The proof, or its failure, for one reference.

    Args:
        reference: the reference's name.
        rows: rows read.
        null_keys: rows with text and no key that no decision leaves so.
        undecided: rows whose text may stand without a key.
        dangling: keys without a lookup row.
        cross_scope: keys of a lookup row in another scope.
        differing: rows whose text is not what the key gives, ambiguous and contradicted ones included.
        pending: rows, or queue entries where there are more, that a rename has yet to be carried to.
        stored_checksum, keyed_checksum: 32 hexadecimal digits each.
        mode: ``live`` or ``snapshot``.
        sync_digest: digest of sync before the first chunk and after the last.
        passed: whether it is a proof.
        started_at, at: before the first chunk and after the last.
        id, run: the ledger's numbers; 0 while it is not stored.
        kinds: rows by kind; empty when read back from the ledger.
        problems: what else keeps it from passing, for people.
        offences: sample rows that keep it from passing.
    """

    reference: str
    rows: int
    null_keys: int
    undecided: int
    dangling: int
    cross_scope: int
    differing: int
    pending: int
    stored_checksum: str
    keyed_checksum: str
    mode: str
    sync_digest: str
    passed: bool
    started_at: datetime
    at: datetime
    id: int = 0
    run: int = 0
    kinds: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    offences: tuple[Offence, ...] = ()

    @property
    def failures(self) -> tuple[str, ...]:
        """Every reason why it does not pass, with its number; empty when it passes."""
        wrong = [f"{n} {k} ({WRONG[k]})" for k, n in self.kinds.items() if k in WRONG and n]
        if not self.kinds:
            counts = {
                "null_key": self.null_keys,
                "dangling": self.dangling,
                "cross_scope": self.cross_scope,
                "differing": self.differing,
            }
            wrong = [f"{n} {k} ({WRONG[k]})" for k, n in counts.items() if n]
        if self.pending:
            wrong.append(f"{self.pending} pending (a queued rename, move or delete has yet to be carried)")
        if not wrong and self.stored_checksum != self.keyed_checksum:
            wrong.append(f"the checksums differ: {self.stored_checksum} stored, {self.keyed_checksum} through the key")
        return (*wrong, *self.problems)


def judge(
    reference: str,
    tally: Tally,
    *,
    mode: Mode,
    sync_digest: str,
    queued: int,
    problems: Sequence[str],
    offences: Sequence[Offence],
    started_at: datetime,
    at: datetime,
) -> Certificate:
    """Return the certificate that a tally comes to.

    Args:
        reference: the reference's name.
        tally: all rows.
        mode: how they were read.
        sync_digest: what continuity is measured against.
        queued: entries of the rename queue that concern the lookup, after the last chunk: a rename that was queued
            behind a chunk shows here alone.
        problems: what else is wrong: sync is not as expand made it, or changed meanwhile.
        offences: sample rows.
        started_at, at: before the first chunk and after the last.
    """
    pending = max(tally.count(PENDING), queued)
    sums_agree = tally.stored == tally.keyed
    return Certificate(
        reference=reference,
        rows=tally.rows,
        null_keys=tally.count("null_key"),
        undecided=tally.count("undecided", "nulled"),
        dangling=tally.count("dangling"),
        cross_scope=tally.count("cross_scope"),
        differing=tally.count("ambiguous", "contradicted", "differing"),
        pending=pending,
        stored_checksum=str(tally.stored),
        keyed_checksum=str(tally.keyed),
        mode=mode,
        sync_digest=sync_digest,
        passed=tally.bad == 0 and pending == 0 and sums_agree and not problems,
        started_at=started_at,
        at=at,
        kinds=dict(tally.kinds),
        problems=tuple(problems),
        offences=tuple(offences),
    )


def compare(before: Sequence[Certificate], after: Sequence[Certificate]) -> list[str]:
    """Return how what is stored differs between two sets of certificates: rows and checksums, by reference.

    This is what names a deleted row, which leaves no trace of its own.

    Args:
        before: certificates of a backup, a snapshot or an earlier verification.
        after: those of now.

    Returns:
        One line per difference; empty when each reference holds the same rows.
    """
    old, new = {c.reference: c for c in before}, {c.reference: c for c in after}
    lines = []
    for name in dict.fromkeys([*old, *new]):
        if name not in new:
            lines.append(f"{name}: {old[name].rows} rows before, not verified now")
        elif name not in old:
            lines.append(f"{name}: not verified before, {new[name].rows} rows now")
        elif old[name].rows != new[name].rows:
            lines.append(f"{name}: {old[name].rows} rows before, {new[name].rows} now")
        elif old[name].stored_checksum != new[name].stored_checksum:
            lines.append(
                f"{name}: {new[name].rows} rows as before, but not the same: "
                f"checksum {old[name].stored_checksum} before, {new[name].stored_checksum} now"
            )
    return lines
