"""Decisions at work: facts, a checked file applied, everything brought back. ``phases.resolve`` is the entry."""
