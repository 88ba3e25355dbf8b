"""Taking sync down where the text goes, and bringing back exactly what stood.

Decides which of a lookup's triggers are still needed without the text (those that fill its scope, and all of them for
references that keep theirs), and in which order everything comes back. Undo goes last step first: the references'
functions, the lookup's triggers and functions, and only then the references' triggers. So a rename never calls a
function that is not there, and no row is written with its text before renames can carry it. What comes back is what
the ledger says was made, not what the model would make now: constrain has changed what a lock of sync rests on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from psycopg import sql

from ..core.model import Lookup, Model, Reference
from ..core.names import QName
from ..core.plan import Lock, Step
from . import probes
from .plpgsql import Trigger, triggers_stand
from .quote import render, table
from .sync import of_lookup, sync_lookup_steps, sync_reference_steps
from .sync_path import copy_update_function, hold_function
from .sync_row import row_function

SQL = sql.SQL
#: Statements that made a step's object, by the step's id.
Recorded = Mapping[str, Sequence[str]]


def sync_away_steps(phase: str, model: Model, going: Sequence[Reference], recorded: Recorded) -> list[Step]:
    """Return the steps around the drop of the texts, in the order of the plan.

    Args:
        phase: contract.
        model: the model.
        going: the references whose text goes.
        recorded: what expand and constrain made, from the ledger.
    """
    steps: list[Step] = []
    for reference in going:
        made = sync_reference_steps(model, reference)
        steps += [_triggers_back(phase, reference, step, recorded) for step in made[1:]]
    for lookup in model.lookups:
        if any(r.lookup.name == lookup.name for r in going):
            steps += _lookup(phase, model, lookup, {r.name for r in going}, recorded)
    for reference in going:
        steps.append(_functions_back(phase, reference, sync_reference_steps(model, reference)[0], recorded))
    return steps


def drop_reference_sync(model: Model, reference: Reference) -> list[str]:
    """Return the statements that drop a reference's triggers and functions; harmless when they are gone."""
    return [statement for step in reversed(sync_reference_steps(model, reference)) for statement in step.undo]


def _triggers_back(phase: str, reference: Reference, made: Step, recorded: Recorded) -> Step:
    return Step(
        id=f"{phase}/{reference.name}/sync-triggers",
        phase=phase,
        object=f"the way back to sync of {reference.name}",
        do=(),
        done="SELECT true",
        undo=tuple(recorded.get(made.id, made.do)),
        gone=made.done,
        undo_lock=Lock.SHARE_ROW_EXCLUSIVE,
        table=made.table,
        reason="rows written from then on have their text",
        claims=False,
    )


def _functions_back(phase: str, reference: Reference, made: Step, recorded: Recorded) -> Step:
    # As constrain has hardened them, where it has.
    hard = recorded.get(f"constrain/{reference.name}/sync-hard", ())
    return Step(
        id=f"{phase}/{reference.name}/sync-functions",
        phase=phase,
        object=f"the way back to the sync functions of {reference.name}",
        do=(),
        done="SELECT true",
        undo=(*recorded.get(made.id, made.do), *hard),
        gone=made.done,
        table=render(table(reference.table.name)),
        reason="renames call them",
        claims=False,
    )


def _lookup(phase: str, model: Model, lookup: Lookup, going: set[str], recorded: Recorded) -> list[Step]:
    staying = replace(model, references=tuple(r for r in model.references if r.name not in going))
    full, less = of_lookup(model, lookup), of_lookup(staying, lookup)
    kept = {t.name for t in less.triggers}
    if not staying.references_of(lookup):
        scope = _scope_functions(staying, lookup)
        kept = {t.name for t in less.triggers if t.function in scope}
    step_id = f"{phase}/lookup/{lookup.name}"
    made = sync_lookup_steps(model, lookup)[0]
    # What this does shows in function bodies alone, so the mark that is made in its transaction is its probe.
    mark = SQL("SELECT EXISTS (SELECT FROM normalform.step WHERE id = {} AND state = 'done')").format(
        sql.Literal(f"{step_id}/sync-functions")
    )
    steps = [
        Step(
            id=f"{step_id}/sync-functions",
            phase=phase,
            object=f"sync functions of {lookup.name} without {', '.join(sorted(going))}",
            do=tuple(s for f in less.functions for s in f.create()),
            done=render(mark),
            undo=tuple(recorded.get(made.id, made.do)),
            gone="SELECT false",
            table=render(table(lookup.table.name)),
            reason="a rename must not look for a text that is gone",
            claims=False,
        )
    ]
    for on in dict.fromkeys(t.on for t in full.triggers):
        needless = [t for t in full.triggers if t.on == on and t.name not in kept]
        if needless:
            steps.append(_needless(f"{step_id}/sync-triggers/{on}", phase, on, lookup, needless))
    return steps


def _needless(step_id: str, phase: str, on: QName, lookup: Lookup, triggers: Sequence[Trigger]) -> Step:
    gone = SQL("SELECT NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = {} AND tgname = ANY ({}::text[]))").format(
        probes.regclass(on), sql.Literal([t.name for t in triggers])
    )
    return Step(
        id=step_id,
        phase=phase,
        object=f"sync triggers of {lookup.name} on {on}",
        do=tuple(t.drop() for t in triggers),
        done=render(gone),
        undo=tuple(s for t in triggers for s in t.create()),
        gone=triggers_stand(triggers),
        lock=Lock.ACCESS_EXCLUSIVE,
        undo_lock=Lock.SHARE_ROW_EXCLUSIVE,
        table=render(table(on)),
        reason="no text is left that they carry; the foreign keys do the rest",
        claims=False,
    )


def _scope_functions(model: Model, lookup: Lookup) -> set[str]:
    """Functions that keep a lookup's copied scope right; the scope is there as long as the lookup is."""
    if lookup.scope_copy is None:
        return set()
    functions = (row_function(model, lookup), hold_function(lookup, "copy"), copy_update_function(lookup))
    return {f.name for f in functions}
