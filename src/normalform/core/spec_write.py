"""Writing a spec file: lookups and references in, a TOML document out that ``core.spec_file`` reads back as the same.

Decides how the document looks: what agrees goes into ``[defaults.reference]``, defaults of the form are left out.
Identifiers may hold anything that PostgreSQL lets them hold; a comment may never end its line early.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .names import QName, display
from .spec import LookupSpec, ReferenceSpec

#: A TOML document may hold no control character but the tab, not even in a comment; nor may a line end elsewhere.
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]")
#: Keys of a reference that may stand in the defaults.
_SHARED = ("lookup", "text", "qualifier", "scope", "add")
_WIDTH = 108

Comments = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Notes:
    """What is written beside the spec itself, each a list of lines without ``#``.

    Args:
        head: at the top.
        lookups: above each lookup, by its name.
        references: above each reference, by its name.
    """

    head: Sequence[str] = ()
    lookups: Comments = field(default_factory=dict)
    references: Comments = field(default_factory=dict)


def write(lookups: Sequence[LookupSpec], references: Sequence[ReferenceSpec], notes: Notes | None = None) -> str:
    """Return a spec file.

    Args:
        lookups: its lookups; ``new_row`` and ``rename`` are not written.
        references: its references.
        notes: comments.
    """
    notes = notes or Notes()
    parts = [[*map(comment, notes.head), *([""] if notes.head else []), "version = 1"]]
    parts += [[*map(comment, notes.lookups.get(x.name, ())), *_lookup(x)] for x in lookups]
    shared = defaults(references)
    if shared:
        head = [_header("defaults", "reference")]
        parts.append([comment("What a reference does not say itself."), *head, *_pairs(shared)])
    created = {x.name for x in lookups if x.create}
    for r in references:
        lines = _reference(r, shared, created=r.lookup in created)
        parts.append([*map(comment, notes.references.get(r.name, ())), *lines])
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def comment(text: str) -> str:
    """Return a text as a comment of one line; what would end the line is written as an escape."""
    shown = _CONTROL.sub(lambda m: f"\\u{ord(m.group()):04X}", text)
    return f"# {shown}".rstrip()


def value(entry: object) -> str:
    """Return a text, a flag or a list of texts as TOML writes it."""
    if isinstance(entry, bool):
        return "true" if entry else "false"
    if isinstance(entry, list | tuple):
        return "[" + ", ".join(map(value, entry)) + "]"
    # JSON's strings are TOML's, but for DEL, which TOML wants escaped.
    return json.dumps(str(entry), ensure_ascii=False).replace("\x7f", "\\u007F")


def key(name: str) -> str:
    """Return a key of one part, quoted where TOML needs it."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else value(name)


def written(name: QName) -> str:
    """Return a table's name as SQL writes it, with its schema where one is given."""
    return ".".join(display(part) for part in (name.schema, name.name) if part)


def defaults(references: Sequence[ReferenceSpec]) -> dict[str, object]:
    """Return what at least two references share, and most of those that say anything of it."""
    result: dict[str, object] = {}
    for name in _SHARED:
        counted = Counter(v for r in references if (v := _said(r)[name]) not in (None, (), False))
        if counted:
            entry, count = counted.most_common(1)[0]
            if count > 1:
                result[name] = entry
    return result


def _said(reference: ReferenceSpec) -> dict[str, object]:
    return {
        "lookup": reference.lookup,
        "text": reference.text,
        "qualifier": reference.qualifier or False,
        "scope": reference.scope,
        "add": reference.add,
    }


def _short(columns: tuple[str, ...]) -> object:
    return columns[0] if len(columns) == 1 else list(columns)


def _pairs(entries: Mapping[str, object]) -> list[str]:
    return [f"{key(k)} = {value(_short(v) if isinstance(v, tuple) else v)}" for k, v in entries.items()]


def _lookup(spec: LookupSpec) -> list[str]:
    entries: dict[str, object] = {"table": written(spec.table)}
    if spec.create:
        entries |= {"create": True, "key_type": spec.key_type}
    entries |= {"key": spec.key, "text": spec.text}
    if spec.aliases is not None:
        entries["aliases"] = spec.aliases
    scope, qualifier = spec.scope, spec.qualifier
    if scope is not None and scope.add is None:
        entries["scope"] = scope.columns
    if qualifier is not None and qualifier.column is not None:
        entries["qualifier"] = qualifier.column
    if spec.unique:
        entries["unique"] = list(spec.unique)
    here = ("lookup", spec.name)
    lines = [_header(*here), *_pairs(entries)]
    if scope is not None and scope.add is not None:
        assert scope.copy_table is not None
        copied = f"{written(scope.copy_table)}.{display(scope.copy_column or '')}"
        lines += ["", _header(*here, "scope"), *_pairs({"add": scope.add, "copy": copied, "join": scope.join})]
    if qualifier is not None and qualifier.path_table is not None:
        path = f"{written(qualifier.path_table)}.{display(qualifier.path_column or '')}"
        walk: dict[str, object] = {"path": path, "join": qualifier.join}
        if qualifier.parent is not None:
            walk["parent"] = qualifier.parent
        walk["separator"] = qualifier.separator
        lines += ["", _header(*here, "qualifier"), *_pairs(walk)]
    return lines


def _reference(spec: ReferenceSpec, shared: Mapping[str, object], *, created: bool) -> list[str]:
    entries: dict[str, object] = {}
    if written(spec.table) != spec.name:
        entries["table"] = written(spec.table)
    unsaid: dict[str, object] = {"qualifier": False, "scope": ()}
    entries |= {k: said for k, said in _said(spec).items() if said != shared.get(k, unsaid.get(k))}
    settings = (
        ("required", spec.required, True),
        ("keep_text", spec.keep_text, False),
        ("optional", spec.optional, False),
        ("on_unknown", spec.on_unknown, "create" if created else "defer"),
        ("on_delete", spec.on_delete, "restrict"),
        ("app_triggers", spec.app_triggers, "fire"),
    )
    entries |= {k: said for k, said, usual in settings if said != usual}
    return [_header("reference", spec.name), *_pairs(entries)]


def _header(*keys: str) -> str:
    return "[" + ".".join(map(key, keys)) + "]"
