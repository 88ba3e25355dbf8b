"""The demonstration: PhotoCat's legacy schema, a million real tags, and an independent check of the outcome.

It must never be imported by the engine: the demo is the engine's first user, and the check that it makes
(`truth`) is worth something only because it shares nothing with the engine's own mapping.
"""
