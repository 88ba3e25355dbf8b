-- The ledger: everything Normalform knows about a database, in the database itself.
-- Runs in one transaction, as the operator's role, which then owns it. No other role gets any right on it.
CREATE SCHEMA normalform;
REVOKE ALL ON SCHEMA normalform FROM PUBLIC;
COMMENT ON SCHEMA normalform IS 'Ledger of Normalform: state, mapping, archive and history of one normalization. "normalform uninstall" removes it.';

CREATE TABLE normalform.control (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    version integer NOT NULL,
    spec text NOT NULL,
    token bigint NOT NULL DEFAULT 0,
    paused boolean NOT NULL DEFAULT false,
    installed_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE normalform.control IS 'One row: what is in force now.';
COMMENT ON COLUMN normalform.control.one IS 'Always true; keeps the table to one row.';
COMMENT ON COLUMN normalform.control.version IS 'Version of the ledger''s own tables.';
COMMENT ON COLUMN normalform.control.spec IS 'Text of the spec file as of the last command that wrote.';
COMMENT ON COLUMN normalform.control.token IS 'Fencing token: the run that may write. A batch of any other run refuses to commit.';
COMMENT ON COLUMN normalform.control.paused IS 'True while an operator has paused the work.';
COMMENT ON COLUMN normalform.control.installed_at IS 'When the first command that writes made the ledger.';

CREATE TABLE normalform.run (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    command text NOT NULL,
    role text NOT NULL DEFAULT current_user,
    person text,
    host text,
    pid integer,
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    outcome text,
    detail text
);
COMMENT ON TABLE normalform.run IS 'One row per command that wrote: who, where, when, how it ended.';
COMMENT ON COLUMN normalform.run.id IS 'Number of the run; also its fencing token.';
COMMENT ON COLUMN normalform.run.command IS 'The command and its options, without connection strings.';
COMMENT ON COLUMN normalform.run.role IS 'Database role.';
COMMENT ON COLUMN normalform.run.person IS 'Operating-system user.';
COMMENT ON COLUMN normalform.run.host IS 'Host that the runner ran on.';
COMMENT ON COLUMN normalform.run.pid IS 'Process of the runner on that host.';
COMMENT ON COLUMN normalform.run.started_at IS 'When the run took the lock.';
COMMENT ON COLUMN normalform.run.ended_at IS 'When it ended; NULL while it runs or after it was killed.';
COMMENT ON COLUMN normalform.run.outcome IS 'done, gate, findings, interrupted or refused.';
COMMENT ON COLUMN normalform.run.detail IS 'First line of the error, if any.';

CREATE TABLE normalform.phase (
    name text PRIMARY KEY,
    position integer NOT NULL,
    state text NOT NULL CHECK (state IN ('doing', 'done', 'undoing')),
    run bigint REFERENCES normalform.run,
    began_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    seconds double precision NOT NULL DEFAULT 0
);
COMMENT ON TABLE normalform.phase IS 'Phases that are done or half-way; a phase that was undone has no row.';
COMMENT ON COLUMN normalform.phase.name IS 'resolve, expand, backfill, verify, constrain or contract.';
COMMENT ON COLUMN normalform.phase.position IS 'Its place in the order.';
COMMENT ON COLUMN normalform.phase.state IS 'doing, done or undoing.';
COMMENT ON COLUMN normalform.phase.run IS 'The last run that worked on it.';
COMMENT ON COLUMN normalform.phase.began_at IS 'When it began.';
COMMENT ON COLUMN normalform.phase.ended_at IS 'When it was done.';
COMMENT ON COLUMN normalform.phase.seconds IS 'Seconds of work so far, over all runs.';

CREATE TABLE normalform.baseline (
    taken text NOT NULL DEFAULT 'start',
    schema_name text NOT NULL,
    table_name text NOT NULL,
    definition jsonb NOT NULL,
    taken_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (taken, schema_name, table_name)
);
COMMENT ON TABLE normalform.baseline IS 'The tables as they stood before the first change, and again before contract: what undo rebuilds.';
COMMENT ON COLUMN normalform.baseline.taken IS 'When in the migration: start (before the first change) or a phase (before that phase).';
COMMENT ON COLUMN normalform.baseline.schema_name IS 'Schema of the table.';
COMMENT ON COLUMN normalform.baseline.table_name IS 'Name of the table.';
COMMENT ON COLUMN normalform.baseline.definition IS 'Columns, indexes, constraints and triggers, from the catalog.';
COMMENT ON COLUMN normalform.baseline.taken_at IS 'When it was read.';

CREATE TABLE normalform.step (
    id text PRIMARY KEY,
    phase text NOT NULL,
    position integer NOT NULL,
    object text NOT NULL,
    table_name text NOT NULL,
    do_sql text[] NOT NULL,
    undo_sql text[] NOT NULL,
    do_mode text NOT NULL,
    undo_mode text NOT NULL,
    undo_work text NOT NULL,
    undo_lock text NOT NULL,
    done_sql text NOT NULL,
    gone_sql text NOT NULL,
    clean_sql text[] NOT NULL,
    state text NOT NULL CHECK (state IN ('intended', 'done', 'undoing')),
    run bigint REFERENCES normalform.run,
    intended_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    done_at timestamptz
);
COMMENT ON TABLE normalform.step IS 'Every change of ours that stands, with what takes it back. The intent is committed before the change, so that only what is ours is ever dropped.';
COMMENT ON COLUMN normalform.step.id IS 'Stable name of the step.';
COMMENT ON COLUMN normalform.step.phase IS 'Phase that it belongs to.';
COMMENT ON COLUMN normalform.step.position IS 'Place in the phase''s plan; undone in reverse.';
COMMENT ON COLUMN normalform.step.object IS 'What it made, for people.';
COMMENT ON COLUMN normalform.step.table_name IS 'Table that it locks.';
COMMENT ON COLUMN normalform.step.do_sql IS 'Statements that make it.';
COMMENT ON COLUMN normalform.step.undo_sql IS 'Statements that take it back.';
COMMENT ON COLUMN normalform.step.do_mode IS 'How it runs: transaction, rewrite, concurrent or batches. In the first two its mark commits with it.';
COMMENT ON COLUMN normalform.step.undo_mode IS 'How the undo runs: transaction, rewrite, concurrent or batches.';
COMMENT ON COLUMN normalform.step.undo_work IS 'Handler of an undo in batches.';
COMMENT ON COLUMN normalform.step.undo_lock IS 'Strongest lock of the undo.';
COMMENT ON COLUMN normalform.step.done_sql IS 'Query that tells whether it stands.';
COMMENT ON COLUMN normalform.step.gone_sql IS 'Query that tells whether it is gone.';
COMMENT ON COLUMN normalform.step.clean_sql IS 'Statements that remove what a killed try left.';
COMMENT ON COLUMN normalform.step.state IS 'intended, done or undoing.';
COMMENT ON COLUMN normalform.step.run IS 'Run that last touched it.';
COMMENT ON COLUMN normalform.step.intended_at IS 'When the intent was committed.';
COMMENT ON COLUMN normalform.step.done_at IS 'When it was seen to stand.';

CREATE TABLE normalform.decision (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    file text NOT NULL,
    line integer NOT NULL,
    reference text NOT NULL,
    scope text[] NOT NULL,
    value text,
    qualifier text,
    decision text NOT NULL,
    target text,
    note text,
    state text NOT NULL CHECK (state IN ('checked', 'applied', 'undoing', 'undone')),
    rows bigint NOT NULL DEFAULT 0,
    person text,
    run bigint REFERENCES normalform.run,
    applied_at timestamptz,
    undone_at timestamptz
);
CREATE INDEX decision_value ON normalform.decision (reference, value);
COMMENT ON TABLE normalform.decision IS 'Every decision that was applied, with the line of the file that it stood on.';
COMMENT ON COLUMN normalform.decision.id IS 'Number of the decision; applied in this order, undone in reverse.';
COMMENT ON COLUMN normalform.decision.file IS 'SHA-256 of the decision file.';
COMMENT ON COLUMN normalform.decision.line IS 'Line of the file.';
COMMENT ON COLUMN normalform.decision.reference IS 'Reference, or lookup, that it is about.';
COMMENT ON COLUMN normalform.decision.scope IS 'Scope of the value.';
COMMENT ON COLUMN normalform.decision.value IS 'The text.';
COMMENT ON COLUMN normalform.decision.qualifier IS 'The qualifier, if any.';
COMMENT ON COLUMN normalform.decision.decision IS 'What was decided.';
COMMENT ON COLUMN normalform.decision.target IS 'What it was decided for.';
COMMENT ON COLUMN normalform.decision.note IS 'Why, in the operator''s words.';
COMMENT ON COLUMN normalform.decision.state IS 'checked, applied, undoing or undone.';
COMMENT ON COLUMN normalform.decision.rows IS 'Rows that it changed or deleted.';
COMMENT ON COLUMN normalform.decision.person IS 'Operating-system user who applied it.';
COMMENT ON COLUMN normalform.decision.run IS 'Run that applied it.';
COMMENT ON COLUMN normalform.decision.applied_at IS 'When.';
COMMENT ON COLUMN normalform.decision.undone_at IS 'When it was undone.';

CREATE TABLE normalform.mapping (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reference text NOT NULL,
    scope text[] NOT NULL,
    value text NOT NULL,
    qualifier text,
    how text NOT NULL,
    key text,
    rows bigint NOT NULL DEFAULT 0,
    decision bigint REFERENCES normalform.decision,
    at timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (reference, value, scope, qualifier)
);
COMMENT ON TABLE normalform.mapping IS 'The mapping''s entries that the live lookup alone does not decide: decisions, aliases, and what is unresolved. Exact and qualified values always come from the live lookup.';
COMMENT ON COLUMN normalform.mapping.id IS 'Number of the entry.';
COMMENT ON COLUMN normalform.mapping.reference IS 'Reference.';
COMMENT ON COLUMN normalform.mapping.scope IS 'Scope values as text, in the spec''s order.';
COMMENT ON COLUMN normalform.mapping.value IS 'The text.';
COMMENT ON COLUMN normalform.mapping.qualifier IS 'The qualifier; NULL where the row has none.';
COMMENT ON COLUMN normalform.mapping.how IS 'How it was decided: alias, chosen, merged, folded, null, split, ambiguous or orphan.';
COMMENT ON COLUMN normalform.mapping.key IS 'Key of the lookup row, as text; NULL while unresolved.';
COMMENT ON COLUMN normalform.mapping.rows IS 'Rows that had this value when it was counted.';
COMMENT ON COLUMN normalform.mapping.decision IS 'The decision behind it.';
COMMENT ON COLUMN normalform.mapping.at IS 'When it was stored or refreshed.';

CREATE TABLE normalform.tally (
    reference text NOT NULL,
    how text NOT NULL,
    entries bigint NOT NULL,
    rows bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (reference, how)
);
COMMENT ON TABLE normalform.tally IS 'How many distinct values and rows were decided in which way, as of the last refresh of the mapping.';
COMMENT ON COLUMN normalform.tally.reference IS 'Reference.';
COMMENT ON COLUMN normalform.tally.how IS 'How they were decided.';
COMMENT ON COLUMN normalform.tally.entries IS 'Distinct values.';
COMMENT ON COLUMN normalform.tally.rows IS 'Rows.';
COMMENT ON COLUMN normalform.tally.at IS 'When it was counted.';

CREATE TABLE normalform.archive (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    decision bigint NOT NULL REFERENCES normalform.decision,
    relation text NOT NULL,
    action text NOT NULL CHECK (action IN ('insert', 'update', 'delete')),
    identity jsonb NOT NULL,
    before jsonb,
    after jsonb,
    restored boolean,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX archive_decision ON normalform.archive (decision, id);
COMMENT ON TABLE normalform.archive IS 'Pre-images of every row that a decision changed, deleted or made.';
COMMENT ON COLUMN normalform.archive.id IS 'Number of the pre-image; restored in reverse order.';
COMMENT ON COLUMN normalform.archive.decision IS 'The decision that changed the row.';
COMMENT ON COLUMN normalform.archive.relation IS 'Table, quoted and qualified.';
COMMENT ON COLUMN normalform.archive.action IS 'What the decision did to the row: insert, update or delete.';
COMMENT ON COLUMN normalform.archive.identity IS 'Primary key of the row; the whole row where the table has none.';
COMMENT ON COLUMN normalform.archive.before IS 'The row, or the changed columns, before; NULL for an insert.';
COMMENT ON COLUMN normalform.archive.after IS 'The changed columns as the decision left them; NULL for a delete.';
COMMENT ON COLUMN normalform.archive.restored IS 'NULL until undone; then whether the row still equalled what the decision left and came back.';
COMMENT ON COLUMN normalform.archive.at IS 'When it was kept.';

CREATE TABLE normalform.residue (
    reference text NOT NULL,
    identity jsonb NOT NULL,
    key text,
    own_value boolean NOT NULL,
    value text,
    own_qualifier boolean NOT NULL,
    qualifier text,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (reference, identity)
);
COMMENT ON TABLE normalform.residue IS 'Texts that the keys cannot reproduce (aliases, merged and folded spellings, other categories), kept by contract for its undo.';
COMMENT ON COLUMN normalform.residue.reference IS 'Reference.';
COMMENT ON COLUMN normalform.residue.identity IS 'Primary key of the row.';
COMMENT ON COLUMN normalform.residue.key IS 'Key that the row had; the entry counts only while the row still has it.';
COMMENT ON COLUMN normalform.residue.own_value IS 'Whether the text is the row''s own; otherwise it is what the key gives, whatever that is by then.';
COMMENT ON COLUMN normalform.residue.value IS 'The row''s text.';
COMMENT ON COLUMN normalform.residue.own_qualifier IS 'Whether the qualifier is the row''s own, NULL included; otherwise it is what the key gives.';
COMMENT ON COLUMN normalform.residue.qualifier IS 'The row''s qualifier.';
COMMENT ON COLUMN normalform.residue.at IS 'When it was kept.';

CREATE TABLE normalform.checkpoint (
    work text NOT NULL,
    slice integer NOT NULL,
    relation oid NOT NULL,
    relfilenode oid NOT NULL,
    first_block bigint NOT NULL,
    end_block bigint NOT NULL,
    next_block bigint NOT NULL,
    rows bigint NOT NULL DEFAULT 0,
    skipped bigint NOT NULL DEFAULT 0,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (work, slice)
) WITH (fillfactor = 50);
COMMENT ON TABLE normalform.checkpoint IS 'Where batch work stands: one row per slice of a table''s blocks.';
COMMENT ON COLUMN normalform.checkpoint.work IS 'Work, such as fill:machine_tags.';
COMMENT ON COLUMN normalform.checkpoint.slice IS 'Number of the slice.';
COMMENT ON COLUMN normalform.checkpoint.relation IS 'OID of the relation.';
COMMENT ON COLUMN normalform.checkpoint.relfilenode IS 'Its file when the slices were cut; another file means that the scan starts again.';
COMMENT ON COLUMN normalform.checkpoint.first_block IS 'First block of the slice.';
COMMENT ON COLUMN normalform.checkpoint.end_block IS 'First block behind it.';
COMMENT ON COLUMN normalform.checkpoint.next_block IS 'Block where the next batch begins; the slice is done when it reaches end_block.';
COMMENT ON COLUMN normalform.checkpoint.rows IS 'Rows changed so far.';
COMMENT ON COLUMN normalform.checkpoint.skipped IS 'Rows passed over because an application held them; their blocks are visited again.';
COMMENT ON COLUMN normalform.checkpoint.at IS 'When the last batch committed.';

CREATE TABLE normalform.batch (
    xid xid8 PRIMARY KEY DEFAULT pg_current_xact_id(),
    work text NOT NULL,
    slice integer NOT NULL,
    first_block bigint NOT NULL,
    end_block bigint NOT NULL,
    run bigint NOT NULL,
    worker integer NOT NULL,
    rows bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE normalform.batch IS 'Every batch that changed rows: which run and worker did which blocks, in which transaction. "normalform explain" finds a row''s batch by its xmin.';
COMMENT ON COLUMN normalform.batch.xid IS 'Transaction of the batch; a row that nobody has written since has it as xmin.';
COMMENT ON COLUMN normalform.batch.work IS 'Work, such as fill:machine_tags.';
COMMENT ON COLUMN normalform.batch.slice IS 'Number of the slice.';
COMMENT ON COLUMN normalform.batch.first_block IS 'First block of the batch.';
COMMENT ON COLUMN normalform.batch.end_block IS 'First block behind it.';
COMMENT ON COLUMN normalform.batch.run IS 'Run.';
COMMENT ON COLUMN normalform.batch.worker IS 'Number of the worker, from 0.';
COMMENT ON COLUMN normalform.batch.rows IS 'Rows that it changed.';
COMMENT ON COLUMN normalform.batch.at IS 'When it was written, just before its commit.';

CREATE TABLE normalform.certificate (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run bigint REFERENCES normalform.run,
    reference text NOT NULL,
    rows bigint NOT NULL,
    null_keys bigint NOT NULL,
    undecided bigint NOT NULL,
    dangling bigint NOT NULL,
    cross_scope bigint NOT NULL,
    differing bigint NOT NULL,
    pending bigint NOT NULL,
    stored_checksum text NOT NULL,
    keyed_checksum text NOT NULL,
    mode text NOT NULL,
    sync_digest text NOT NULL,
    passed boolean NOT NULL,
    started_at timestamptz NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE normalform.certificate IS 'Results of verify: the proof that text and key say the same.';
COMMENT ON COLUMN normalform.certificate.id IS 'Number of the certificate.';
COMMENT ON COLUMN normalform.certificate.run IS 'Run that made it.';
COMMENT ON COLUMN normalform.certificate.reference IS 'Reference.';
COMMENT ON COLUMN normalform.certificate.rows IS 'Rows read.';
COMMENT ON COLUMN normalform.certificate.null_keys IS 'Rows with text and no key that no decision leaves so.';
COMMENT ON COLUMN normalform.certificate.undecided IS 'Rows whose text is allowed to stand without a key (the reference is not required).';
COMMENT ON COLUMN normalform.certificate.dangling IS 'Keys without a lookup row.';
COMMENT ON COLUMN normalform.certificate.cross_scope IS 'Keys of a lookup row in another scope.';
COMMENT ON COLUMN normalform.certificate.differing IS 'Rows whose text differs from what the key gives, without a decision that says so.';
COMMENT ON COLUMN normalform.certificate.pending IS 'Rows whose text a queued rename has yet to carry.';
COMMENT ON COLUMN normalform.certificate.stored_checksum IS 'Sum of hashes over (identity, scope, text, qualifier) as stored.';
COMMENT ON COLUMN normalform.certificate.keyed_checksum IS 'The same through the key.';
COMMENT ON COLUMN normalform.certificate.mode IS 'live (chunk by chunk, completed by continuity of sync) or snapshot.';
COMMENT ON COLUMN normalform.certificate.sync_digest IS 'Digest of the sync triggers and functions that stood throughout.';
COMMENT ON COLUMN normalform.certificate.passed IS 'Whether everything that must be zero was, and the checksums agree.';
COMMENT ON COLUMN normalform.certificate.started_at IS 'Before the first chunk.';
COMMENT ON COLUMN normalform.certificate.at IS 'After the last.';

CREATE TABLE normalform.pending (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    lookup text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('text', 'path', 'delete')),
    key text NOT NULL,
    old_text text,
    new_text text,
    alone boolean NOT NULL DEFAULT true,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE normalform.pending IS 'Renames, moves and deletes of lookup rows that the runner has yet to carry to the references.';
COMMENT ON COLUMN normalform.pending.id IS 'Order in which they happened.';
COMMENT ON COLUMN normalform.pending.lookup IS 'Lookup.';
COMMENT ON COLUMN normalform.pending.kind IS 'text: the row was renamed; path: its qualifier changed; delete: the row is gone.';
COMMENT ON COLUMN normalform.pending.key IS 'Key of the lookup row, as text.';
COMMENT ON COLUMN normalform.pending.old_text IS 'Text or qualifier before.';
COMMENT ON COLUMN normalform.pending.new_text IS 'Text or qualifier after.';
COMMENT ON COLUMN normalform.pending.alone IS 'Whether no other row of the scope had the text before: rows without a key that hold it are then this row''s.';
COMMENT ON COLUMN normalform.pending.at IS 'When.';

CREATE TABLE normalform.created (
    lookup text NOT NULL,
    key text NOT NULL,
    made_by text NOT NULL DEFAULT 'sync' CHECK (made_by IN ('sync', 'expand')),
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (lookup, key)
);
COMMENT ON TABLE normalform.created IS 'Lookup rows that we made of texts and no application has renamed since.';
COMMENT ON COLUMN normalform.created.lookup IS 'Lookup.';
COMMENT ON COLUMN normalform.created.key IS 'Key of the row, as text.';
COMMENT ON COLUMN normalform.created.made_by IS 'sync: for unknown text (on_unknown = "create"); expand: with the lookup''s table (create = true).';
COMMENT ON COLUMN normalform.created.at IS 'When.';

CREATE TABLE normalform.event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    run bigint,
    kind text NOT NULL,
    name text NOT NULL,
    text text NOT NULL
);
COMMENT ON TABLE normalform.event IS 'History: what was done, by which run, when. Never holds values of rows.';
COMMENT ON COLUMN normalform.event.id IS 'Order.';
COMMENT ON COLUMN normalform.event.at IS 'When.';
COMMENT ON COLUMN normalform.event.run IS 'Run.';
COMMENT ON COLUMN normalform.event.kind IS 'Kind of event.';
COMMENT ON COLUMN normalform.event.name IS 'Phase, step or decision.';
COMMENT ON COLUMN normalform.event.text IS 'What happened.';

INSERT INTO normalform.control (version, spec) VALUES (1, '');

-- ALTER DEFAULT PRIVILEGES may have given other roles rights on everything that this role makes.
DO $$
DECLARE
    other text;
BEGIN
    FOR other IN
        SELECT DISTINCT a.grantee::regrole::text
        FROM (SELECT nspacl AS acl, nspowner AS owner FROM pg_namespace WHERE nspname = 'normalform'
              UNION ALL
              SELECT relacl, relowner FROM pg_class WHERE relnamespace = 'normalform'::regnamespace) AS ours,
             aclexplode(ours.acl) AS a
        WHERE a.grantee NOT IN (0, ours.owner)
    LOOP
        EXECUTE 'REVOKE ALL ON SCHEMA normalform FROM ' || other;
        EXECUTE 'REVOKE ALL ON ALL TABLES IN SCHEMA normalform FROM ' || other;
        EXECUTE 'REVOKE ALL ON ALL SEQUENCES IN SCHEMA normalform FROM ' || other;
    END LOOP;
    REVOKE ALL ON ALL TABLES IN SCHEMA normalform FROM PUBLIC;
    REVOKE ALL ON ALL SEQUENCES IN SCHEMA normalform FROM PUBLIC;
END
$$;
