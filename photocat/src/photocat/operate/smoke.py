"""Smoke tests: every operation of the service's own document is called once over HTTP, and its pages, by a tenant made
for it.

It decides what is sent and what must come back. It must never touch another tenant's rows; an operation that it does
not know is a failure, so that a new route gets its line here.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

from photocat.operate.client import Answer, Client
from photocat.operate.errors import OperateError
from photocat.pages.session import COOKIE

PREFIX = "/api/v1"
#: A PNG of one pixel.
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
KEY_COLUMNS = ("keyword_id", "keyword", "category")
Operation = tuple[str, str]


@dataclass
class Smoke:
    """One run of the smoke tests.

    Attributes:
        admin: asks with admin scope.
        reader: asks without.
        called: operations that have done what they are for, by method and path as the document has it.
    """

    admin: Client
    reader: Client
    called: set[Operation] = field(default_factory=set)

    def run(self) -> int:
        """Call everything.

        Returns:
            How many operations there are.

        Raises:
            OperateError: an answer is not what it must be, or an operation was not called.
        """
        self._open()
        tree = self._categories()
        keywords = self._keywords(tree)
        people = self._people()
        image = self._pictures()
        self._tags(image, keywords)
        self._intake(image, keywords, people)
        self._read(image, keywords, people)
        self._pages()
        self._remove(image, keywords, people, tree)
        document = self._document()
        missing = sorted(document - self.called)
        if missing:
            names = ", ".join(f"{method} {path}" for method, path in missing)
            raise OperateError(f"{len(missing)} operations have no smoke test: {names}", hint="write it in smoke.py")
        return len(document)

    def call(
        self, method: str, path: str, *, status: int = 200, client: Client | None = None,
        at: dict[str, int] | None = None, **more: Any,
    ) -> Any:  # fmt: skip
        """Call an operation below the prefix, and return its JSON.

        Args:
            method: GET and so on.
            path: as the document has it, without the prefix.
            status: that must come back.
            client: who asks; None: the admin.
            at: values of the path's parts in braces.
            more: as `Client.send` has it.

        Raises:
            OperateError: another status came back.
        """
        answer = self._answer(method, f"{PREFIX}{path}", status, client or self.admin, at or {}, **more)
        return answer.data if answer.body and "json" in answer.headers.get("content-type", "") else answer.body

    def _answer(self, method: str, path: str, status: int, client: Client, at: dict[str, int], **more: Any) -> Answer:
        answer = client.send(method, path.format(**at), **more)
        if answer.status != status:
            said = " ".join(answer.body.decode("utf-8", "replace").split())[:300]
            raise OperateError(f"{method} {path} answered {answer.status}, not {status}: {said}")
        if status < 400:
            self.called.add((method, path))
        return answer

    def _document(self) -> set[Operation]:
        paths: dict[str, dict[str, Any]] = self.admin.send("GET", "/openapi.json").data["paths"]
        return {(method.upper(), path) for path, methods in paths.items() for method in methods}

    def _open(self) -> None:
        self._answer("GET", "/health", 200, Client(self.admin.host, self.admin.port), {})
        self.call("GET", "/images", status=401, client=Client(self.admin.host, self.admin.port))
        self.call("GET", "/admin/people", status=403, client=self.reader)

    def _categories(self) -> tuple[int, int]:
        path = "/admin/keywords/categories"
        root = self.call("POST", path, status=201, body={"name": "Smoke"})["category_id"]
        below = self.call("POST", path, status=201, body={"name": "Below", "parent_id": root})["category_id"]
        self.call("PATCH", path + "/{category_id}", at={"category_id": below}, body={"name": "Under"})
        found = self.call("GET", path + "/{category_id}", at={"category_id": below})
        _must(found["category"] == "Smoke/Under", f"category {found['category']!r} was renamed to Smoke/Under")
        _must(len(self.call("GET", path)["items"]) == 1, "the tree has the one category that was made at its root")
        return root, below

    def _keywords(self, tree: tuple[int, int]) -> tuple[int, int, int]:
        """Make keywords: two of one name, and one that is alone, as a model's must be while code reads texts."""
        path = "/admin/keywords"
        made = [
            self.call("POST", path, status=201, body={"keyword": name, "category_id": category})["keyword_id"]
            for name, category in (("bridge", tree[0]), ("bridge", tree[1]), ("brige", tree[0]), ("harbour", tree[0]))
        ]
        self.call("GET", path + "/{keyword_id}", at={"keyword_id": made[0]})
        self.call("PATCH", path + "/{keyword_id}", at={"keyword_id": made[2]}, body={"keyword": "bridg"})
        self.call("POST", path + "/{keyword_id}/merge", at={"keyword_id": made[2]}, body={"into": made[0]})
        _must(len(self.call("GET", path)["items"]) == 3, "three keywords are left after a merge of four")
        _must(len(self.call("GET", "/keywords", query={"q": "br"})["items"]) == 2, "two keywords begin with `br`")
        return made[0], made[1], made[3]

    def _people(self) -> int:
        path = "/admin/people"
        made: int = self.call("POST", path, status=201, body={"name": "Ada", "aliases": ["Countess"]})["person_id"]
        self.call("PATCH", path + "/{person_id}", at={"person_id": made}, body={"name": "Ada L."})
        self.call("GET", path + "/{person_id}", at={"person_id": made})
        self.call("GET", path)
        return made

    def _pictures(self) -> int:
        image: int = self.call("POST", "/images", status=201, upload=("smoke.png", PIXEL))["id"]
        again = self.call("POST", "/images", upload=("again.png", PIXEL))
        _must(again["duplicate"] and again["id"] == image, "the same picture again is answered as a duplicate")
        content = self.call("GET", "/images/{image_id}/file", at={"image_id": image})
        _must(content == PIXEL, "a picture's file comes back as it was sent")
        self.call("GET", "/images/{image_id}/thumbnail", at={"image_id": image})
        return image

    def _tags(self, image: int, keywords: tuple[int, int, int]) -> None:
        at = {"image_id": image}
        ambiguous = self.call("POST", "/images/{image_id}/tags", status=409, at=at, body={"keyword": "bridge"})
        _must(len(ambiguous["candidates"]) == 2, "an ambiguous keyword is answered with its candidates")
        self.call("POST", "/images/{image_id}/tags", status=422, at=at, body={"keyword": "bridgee"})
        by_name = {"keyword": "bridge", "category": "Smoke/Under"}
        tags = self.call("POST", "/images/{image_id}/tags", at=at, body=by_name)["items"]
        _must([t["keyword_id"] for t in tags] == [keywords[1]], "a tag by name and category is that keyword")
        self.call("DELETE", "/images/{image_id}/tags", at=at, query=by_name)
        verdict = {"keyword_id": keywords[0], "verdict": "approved"}
        self.call("PUT", "/images/{image_id}/permatags", at=at, body=verdict)
        self.call("DELETE", "/images/{image_id}/permatags", at=at, query={"keyword_id": keywords[0]})
        written = self.call("POST", "/tags/bulk", body={"image_ids": [image], "add": [{"keyword_id": keywords[0]}]})
        _must(written["added"] == 1, "one tag was added in bulk")

    def _intake(self, image: int, keywords: tuple[int, int, int], person: int) -> None:
        tag = {"image_id": image, "keyword_id": keywords[0], "confidence": 0.5, "model_name": "smoke"}
        model = {"keyword_id": keywords[2], "model_name": "smoke", "positive_centroid": [1.0, 2.0]}
        face = {"image_id": image, "top": 1, "right": 2, "bottom": 3, "left": 4}
        for name, body in (
            ("machine-tags", {"tags": [{**tag, "tag_type": "smoke"}]}), ("trained-tags", {"tags": [tag]}),
            ("keyword-models", {"models": [model]}), ("faces", {"faces": [face]}),
        ):  # fmt: skip
            _must(self.call("POST", f"/intake/{name}", body=body)["added"] == 1, f"one of {name} was taken in")
            _must(self.call("POST", f"/intake/{name}", body=body)["added"] == 0, f"{name} sent again add nothing")
        found = self.call("GET", "/images/{image_id}", at={"image_id": image})["faces"]
        self.call("PUT", "/faces/{face_id}/person", at={"face_id": found[0]["id"]}, body={"person_id": person})

    def _read(self, image: int, keywords: tuple[int, int, int], person: int) -> None:
        tags = self.call("GET", "/images/{image_id}/tags", client=self.reader, at={"image_id": image})["items"]
        _must({t["source"] for t in tags} >= {"machine", "trained"} and len(tags) == 3, "three tags, of three sources")
        for tag in tags:
            _must(tag["keyword_id"] == keywords[0] and tag["category"] == "Smoke", "each tag has its keyword")
        query = {"keyword_id": keywords[0], "person_id": person, "category": "Smoke", "tags": "true"}
        found = self.call("GET", "/images", client=self.reader, query=query)["items"]
        _must([i["id"] for i in found] == [image], "the filters find the picture")
        facets = self.call("GET", "/images/facets", client=self.reader)
        _must(facets["images"] == 1, "the facets count the one picture")
        self.call("GET", "/people/{person_id}/images", client=self.reader, at={"person_id": person})

    def _pages(self) -> None:
        """The pages, which are no part of the document: whoever has signed in sees what was made here."""
        nobody = Client(self.admin.host, self.admin.port)
        for path, client, status in (
            ("/", self.reader, 200), ("/facets", self.reader, 200), ("/admin", self.admin, 200),
            ("/admin", self.reader, 403), ("/", nobody, 303), ("/sign-in", nobody, 200),
        ):  # fmt: skip
            cookie = f"{COOKIE}={client.token}" if client.token else ""
            answer = self._answer("GET", path, status, client, {}, cookie=cookie)
            _must(
                status != 200 or not cookie or b"bridge" in answer.body, f"the page {path} shows the keyword `bridge`"
            )

    def _remove(self, image: int, keywords: tuple[int, int, int], person: int, tree: tuple[int, int]) -> None:
        self.call("DELETE", "/images/{image_id}", status=204, at={"image_id": image})
        self.call("DELETE", "/admin/keywords/{keyword_id}", at={"keyword_id": keywords[1]})
        self.call("DELETE", "/admin/people/{person_id}", at={"person_id": person})
        touched = self.call("DELETE", "/admin/keywords/categories/{category_id}", at={"category_id": tree[0]})
        _must(touched["categories"] == 2, "a category goes with the one below it")


def _must(holds: bool, what: str) -> None:
    if not holds:
        raise OperateError(f"this does not hold: {what}")
