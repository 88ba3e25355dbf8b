"""The ideas of Normalform as pure functions and frozen types: standard library only, no I/O."""
