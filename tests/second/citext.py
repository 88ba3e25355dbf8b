# ruff: noqa: E501  (statements read better on one line)
"""The type citext, where the server has the extension; where it has not, a type that behaves like it.

The programs that come with the tests bring no contrib modules. The stand-in has the name, the casts and the operators
of the extension, with functions in SQL where the extension has them in C: a base type of its own, compared by what
lower() makes of it. Only a superuser can make a base type, which is how an extension gets there too.
"""

from __future__ import annotations

import psycopg
from psycopg import conninfo

_TYPE = """
CREATE TYPE public.citext;
CREATE FUNCTION public.citextin(cstring) RETURNS public.citext LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'textin';
CREATE FUNCTION public.citextout(public.citext) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'textout';
CREATE FUNCTION public.citextrecv(internal) RETURNS public.citext LANGUAGE internal STABLE STRICT PARALLEL SAFE AS 'textrecv';
CREATE FUNCTION public.citextsend(public.citext) RETURNS bytea LANGUAGE internal STABLE STRICT PARALLEL SAFE AS 'textsend';
CREATE TYPE public.citext (INPUT = public.citextin, OUTPUT = public.citextout, RECEIVE = public.citextrecv,
    SEND = public.citextsend, INTERNALLENGTH = VARIABLE, STORAGE = extended, CATEGORY = 'S', PREFERRED = false,
    COLLATABLE = true);
CREATE CAST (public.citext AS text) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (public.citext AS varchar) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (public.citext AS bpchar) WITHOUT FUNCTION AS ASSIGNMENT;
CREATE CAST (text AS public.citext) WITHOUT FUNCTION AS ASSIGNMENT;
CREATE CAST (varchar AS public.citext) WITHOUT FUNCTION AS ASSIGNMENT;
"""
_COMPARE = """
CREATE FUNCTION public.citext_{name}(public.citext, public.citext) RETURNS {type} LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN {expression};
"""
_COMPARISONS = {
    "eq": "=", "ne": "<>", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
}  # fmt: skip
_OPERATORS = """
CREATE OPERATOR public.= (LEFTARG = public.citext, RIGHTARG = public.citext, FUNCTION = public.citext_eq,
    COMMUTATOR = OPERATOR(public.=), NEGATOR = OPERATOR(public.<>), RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES);
CREATE OPERATOR public.<> (LEFTARG = public.citext, RIGHTARG = public.citext, FUNCTION = public.citext_ne,
    COMMUTATOR = OPERATOR(public.<>), RESTRICT = neqsel, JOIN = neqjoinsel);
CREATE OPERATOR public.< (LEFTARG = public.citext, RIGHTARG = public.citext, FUNCTION = public.citext_lt,
    COMMUTATOR = OPERATOR(public.>), NEGATOR = OPERATOR(public.>=), RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
CREATE OPERATOR public.<= (LEFTARG = public.citext, RIGHTARG = public.citext, FUNCTION = public.citext_le,
    COMMUTATOR = OPERATOR(public.>=), NEGATOR = OPERATOR(public.>), RESTRICT = scalarlesel, JOIN = scalarlejoinsel);
CREATE OPERATOR public.>= (LEFTARG = public.citext, RIGHTARG = public.citext, FUNCTION = public.citext_ge,
    COMMUTATOR = OPERATOR(public.<=), NEGATOR = OPERATOR(public.<), RESTRICT = scalargesel, JOIN = scalargejoinsel);
CREATE OPERATOR public.> (LEFTARG = public.citext, RIGHTARG = public.citext, FUNCTION = public.citext_gt,
    COMMUTATOR = OPERATOR(public.<), NEGATOR = OPERATOR(public.<=), RESTRICT = scalargtsel, JOIN = scalargtjoinsel);
CREATE FUNCTION public.citext_cmp(public.citext, public.citext) RETURNS integer LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN bttextcmp(lower($1::text) COLLATE "C", lower($2::text) COLLATE "C");
CREATE FUNCTION public.citext_hash(public.citext) RETURNS integer LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN hashtext(lower($1::text));
CREATE OPERATOR CLASS public.citext_ops DEFAULT FOR TYPE public.citext USING btree AS
    OPERATOR 1 public.<, OPERATOR 2 public.<=, OPERATOR 3 public.=, OPERATOR 4 public.>=, OPERATOR 5 public.>,
    FUNCTION 1 public.citext_cmp(public.citext, public.citext);
CREATE OPERATOR CLASS public.citext_ops DEFAULT FOR TYPE public.citext USING hash AS
    OPERATOR 1 public.=, FUNCTION 1 public.citext_hash(public.citext);
CREATE FUNCTION public.citext_smaller(public.citext, public.citext) RETURNS public.citext LANGUAGE sql IMMUTABLE STRICT
    PARALLEL SAFE RETURN CASE WHEN public.citext_lt($1, $2) THEN $1 ELSE $2 END;
CREATE AGGREGATE public.min(public.citext) (SFUNC = public.citext_smaller, STYPE = public.citext,
    SORTOP = OPERATOR(public.<), PARALLEL = SAFE, COMBINEFUNC = public.citext_smaller);
"""


def provide(url: str) -> None:
    """Makes the type in an empty database.

    Args:
        url: the database, as its owner, who may create trusted extensions and no base types.
    """
    with psycopg.connect(url, autocommit=True) as owner:
        if owner.execute("SELECT FROM pg_available_extensions WHERE name = 'citext'").fetchone() is not None:
            owner.execute("CREATE EXTENSION citext SCHEMA public")
            return
    names = {**conninfo.conninfo_to_dict(url), "user": "postgres"}
    with psycopg.connect(conninfo.make_conninfo("", **names), autocommit=True) as admin:
        admin.execute(_TYPE)
        for name, operator in _COMPARISONS.items():
            compared = f'(lower($1::text) COLLATE "C" {operator} lower($2::text) COLLATE "C")'
            admin.execute(_COMPARE.format(name=name, type="boolean", expression=compared).encode())
        admin.execute(_OPERATORS)
