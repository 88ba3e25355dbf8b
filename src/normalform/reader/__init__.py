"""Reads SQL that others wrote: which columns does a statement, or the body of a function, touch?

Pure: text and a :class:`~normalform.reader.world.World` in, uses out. It never asks the server, and never executes,
changes or prints a statement.
"""
