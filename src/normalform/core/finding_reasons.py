"""Why each finding matters: what would happen if it were passed over. For the reference page; each finding has one.

Decides nothing. Written for somebody who meets the finding for the first time, in the words of the documentation.
"""

from __future__ import annotations

from collections.abc import Mapping

WHY: Mapping[str, str] = {
    "NF101": "A row with this text could get either key, and nothing in it says which one is right.",
    "NF102": (
        "A join on the text alone, the usual way of doing this by hand, stores an arbitrary key for such rows: no "
        "NULL, no error, and the wrong answer."
    ),
    "NF103": (
        "People see one name where the database has two, and after the migration each keeps its own rows for good."
    ),
    "NF104": "The lookup's own unique, which keeps equal names from coming back, could not be built by constrain.",
    "NF105": "A row without a scope belongs to nobody, so that every row that has its text is an orphan.",
    "NF106": "It is dead weight, and often the trace of a half-finished edit.",
    "NF107": (
        "Its name cannot be told apart from an equal one elsewhere, and rows that carry the path it should have "
        "find nothing."
    ),
    "NF108": "The path is what tells equal names apart; where two categories share one, it no longer does.",
    "NF109": "A key that is resolved among only some of the rows is stored as if it were certain.",
    "NF110": (
        "New code writes keys, and sync writes the text for old code: a text that does not fit would make that "
        "write fail."
    ),
    "NF111": "A table that appears by itself should be expected, and so should its size.",
    "NF112": (
        "What two spellings of one thing are is decided once, now: afterwards each has its key, and its own references."
    ),
    "NF113": "Backfill stops at such rows, with everything else of expand done.",
    "NF114": "Expand would stop at the first text that the index refuses.",
    "NF201": (
        "There is no row that its key could name: it would stay NULL, and a required reference could never be NOT NULL."
    ),
    "NF202": "Any key that a program picked would be a guess. Somebody who knows has to say.",
    "NF203": (
        "A foreign key with a scope would accept any key for such a row, so that tenants could see each other's rows."
    ),
    "NF204": (
        "Nothing can be looked up in a scope that does not exist; often it is what a deleted tenant left behind."
    ),
    "NF205": (
        "Today the row says one thing in two columns, and they disagree. After contract only the lookup's own path "
        "is left."
    ),
    "NF206": "A path that no longer exists cannot tell equal names apart, should a second one be made.",
    "NF207": (
        "Most orphans are spellings. One decision for each settles them, and creating them would keep the mistake "
        "for good."
    ),
    "NF208": (
        "The index's successor is what goes on refusing duplicates after contract. Built by surprise it would fail "
        "in the middle of constrain."
    ),
    "NF209": "Creating the lookup row would fail, or cut the text off.",
    "NF210": "A text that fits one side and not the other is an error in some writer's hands, on an ordinary day.",
    "NF211": "NOT NULL on the key could not be set, and the reference would allow rows that mean nothing.",
    "NF212": "One spec can serve installations that differ; but a mistyped name looks the same, so it is said.",
    "NF213": (
        "What is a row's own (an alias, a folded spelling) is archived under its primary key, so that contract can "
        "be undone."
    ),
    "NF301": (
        "Backfill updates every row once: an audit table can double, and an updated_at forgets when a row really "
        "changed."
    ),
    "NF302": (
        "A trigger that runs outside ours sees a row without its text, or changes the text after its key was derived."
    ),
    "NF303": (
        "Deleting a tenant or a category works today and would fail after constrain, in the application's hands."
    ),
    "NF304": (
        "The subscriber's apply stops at the first row that has a column which it does not know, and the slot then "
        "keeps WAL."
    ),
    "NF305": "The first batch would fail, and so does every UPDATE of the application's.",
    "NF306": "Replication would stop at the first row of the ledger.",
    "NF307": "Rows that come by replication pass ordinary triggers by, and would keep no key.",
    "NF308": (
        "It slows every write down for nothing; and an index that a migration left behind hides that it ended early."
    ),
    "NF309": "We drop only what is ours, so something of that name must not be taken for it.",
    "NF310": "An index that goes with the text unseen is missed weeks later, when a query has become slow.",
    "NF311": "Contract takes it away, and with it a rule that rows have had to keep, or the speed of a query.",
    "NF312": "The server refuses to drop a column that a view reads; what CASCADE would drop with it, nobody has seen.",
    "NF313": "The server refuses to drop the column, and to make the view again takes time and space.",
    "NF314": "The server refuses to drop a column that a rule reads.",
    "NF315": (
        "The server refuses to drop a column that a policy reads; a policy that is only dropped lets rows be seen "
        "that were hidden, or hides them all."
    ),
    "NF316": "The server refuses to drop the column; sync's own writes of the text fire such a trigger until then.",
    "NF317": "Some versions of the server refuse to drop the column, others drop the generated one with it in silence.",
    "NF318": "The server refuses to drop the column, and subscribers expect it.",
    "NF319": "Estimates for queries on the key start from nothing, and plans can become worse.",
    "NF320": "Inserts that relied on it fail on NOT NULL, or leave the key empty.",
    "NF321": (
        "The server lets the column go, and the function fails when it is next called: often at night, in a job that "
        "nobody thought of."
    ),
    "NF322": "Only a person can tell, and if it does, it fails as the certain ones do.",
    "NF323": "It fails as soon as expand adds the column, which otherwise disturbs nothing.",
    "NF324": "What it gives goes into audit logs, messages and caches, whose readers may look for the text.",
    "NF325": "It is what the application runs: after contract every one of them is an error.",
    "NF326": "Such statements are what expand, which otherwise disturbs nothing, makes fail.",
    "NF327": "What was not read may use the text.",
    "NF328": "Expand would stop there, with an error of the server's.",
    "NF329": "If it is given one of the tables, it may use the text.",
    "NF401": ("A migration that stops half-way for want of a right can be resumed, but it is better to know before."),
    "NF402": "Locks and settings belong to a server session. Behind such a proxy they would be somebody else's.",
    "NF403": "What was read is as old as the replay; nothing of it can be changed here.",
    "NF404": "One forgotten transaction can hold up a phase for as long as it lives, and let tables grow meanwhile.",
    "NF405": "A full disk stops the server, and a slot is the usual way in which a large backfill fills one.",
    "NF406": "Reads from a standby that is behind are old, and a failover to it loses what it has not got.",
}
