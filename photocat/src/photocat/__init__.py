"""PhotoCat: a multi-tenant photo catalogue, and what an application beside Normalform looks like."""

from __future__ import annotations

__version__ = "0.1.0"
