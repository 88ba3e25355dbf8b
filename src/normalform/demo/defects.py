"""The defects that the demo plants: what each is, how many rows it has, and the decision it asks for.

`PLANTED` is the promise, `planted.py` writes the rows, and a test counts them by plain SQL. It decides that no
planted row ever stands in machine_tags, which holds exactly the rows of the data file, and none carries the name
of a data tenant: what is said of the data's own tags stays true with all defects in place.

The data's own defects (rows that stand twice, keywords too long, names in several categories, names that differ
by case or form) are not planted and not listed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Planted:
    """One planted defect.

    Attributes:
        what: what is wrong with the rows.
        decision: what an operator would decide.
        rows: rows by table; every row is counted once, under one defect.
    """

    what: str
    decision: str
    rows: Mapping[str, int]

    @property
    def total(self) -> int:
        """Rows in all tables."""
        return sum(self.rows.values())


PLANTED: Final[Mapping[str, Planted]] = {
    "orphan_bcg": Planted(
        "production's own 17: permatags of tenant bcg, 16 `lyra` and 1 `family`, words that bcg's keywords do not "
        "have; tenant demo has both, so the runbook's option 2b would keep them",
        "create, or drop within the tenant",
        {"permatags": 17},
    ),
    "orphan": Planted(
        "names that no keyword of the tenant has, nor one like it",
        "create, or drop",
        {"image_tags": 24, "trained_image_tags": 12, "keyword_models": 4},
    ),
    "same_path_twice": Planted(
        "the same keyword twice under equal paths: two root categories `Travel`, which the legacy unique lets "
        "through since NULL parents are distinct; not even the row's category tells them apart",
        "merge",
        {"keywords": 8, "image_tags": 20, "permatags": 8, "trained_image_tags": 6},
    ),
    "ambiguous_no_category": Planted(
        "names in two categories on rows whose category is NULL",
        "chosen, or rename one of the keywords",
        {"image_tags": 90, "permatags": 45, "trained_image_tags": 45},
    ),
    "ambiguous_category_unknown": Planted(
        "names in two categories on rows whose category is neither of them",
        "chosen",
        {"image_tags": 6, "trained_image_tags": 4},
    ),
    "ambiguous_model": Planted(
        "models trained for a name that stands in two categories, and a model has no category",
        "split",
        {"keyword_models": 3},
    ),
    "category_disagrees": Planted(
        "the category is a category of the tenant, but not the one in which the only such keyword stands",
        "none needed: the name decides; the row's category would change",
        {"image_tags": 30, "permatags": 15, "trained_image_tags": 15},
    ),
    "category_unknown": Planted(
        "the tenant has no category of that path; the name decides",
        "none needed: the name decides; the row's category would change",
        {"image_tags": 20, "permatags": 10, "trained_image_tags": 10},
    ),
    "tenant_unknown": Planted(
        "the row's tenant `ghost` has no categories, no keywords, no people and no row in tenants",
        "drop, or null where the key may be",
        {
            "image_tags": 12, "permatags": 6, "trained_image_tags": 6, "keyword_models": 2, "detected_faces": 4,
        },
    ),
    "tenant_null": Planted(
        "the row has no tenant at all",
        "drop, or null where the key may be",
        {"image_tags": 5, "trained_image_tags": 3, "detected_faces": 3},
    ),
    "near_duplicate": Planted(
        "written in another case, with spaces, decomposed or full-width: `TREE`, `tree `, cafe with a combining "
        "accent; alone on their picture",
        "folded",
        {"image_tags": 30, "permatags": 12, "trained_image_tags": 9, "keyword_models": 3},
    ),
    "near_duplicate_collision": Planted(
        "the same, where the picture (or the model) has the right spelling too: folded, both would have one key, "
        "which the successor of the legacy unique refuses",
        "folded, and which row stays",
        {"permatags": 10, "trained_image_tags": 8, "keyword_models": 2},
    ),
    "face_unknown": Planted(
        "names that no person of the tenant has as name or alias (runbook 1.4)",
        "null, which is allowed, or create",
        {"detected_faces": 24},
    ),
    "face_ambiguous_alias": Planted(
        "an alias that two people of the tenant share",
        "chosen, or null",
        {"detected_faces": 6},
    ),
}  # fmt: skip
"""Every planted defect by its name. One in a row's tenant, name and category at once is counted by the first of:
tenant, name, category."""

PLANTED_TENANTS: Final = ("bcg", "demo")
"""The tenants that are not locales; their machine_tags are empty."""

GHOST: Final = "ghost"
"""The tenant that does not exist."""
