"""The published document is what the service does: nothing asked by it fails, and no status is a surprise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import status_code_conformance

from fix_api import STAGES, TEMPLATES, Serve
from fix_servers import Database

#: Requests of each operation: some as the document has them, some not.
EACH = 30
CHECKS = [not_a_server_error, status_code_conformance]


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["text", "key"])
def test_the_service_keeps_to_its_document(database: Callable[..., Database], serve: Serve, stage: str) -> None:
    mode, until = STAGES[stage]
    api = serve(database(TEMPLATES[until]), mode)
    schema = schemathesis.openapi.from_asgi("/openapi.json", api.client.app)
    asked: list[int] = []
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        kinds = [operation.as_strategy(generation_mode=kind) for kind in schemathesis.GenerationMode]

        # The same requests each time, and no shrinking: whatever is found is told with its request as it is.
        @settings(
            max_examples=EACH, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=st.one_of(kinds))
        def ask(case: schemathesis.Case[Any]) -> None:
            answer = case.call(headers={"Authorization": "Bearer admin"})
            asked.append(answer.status_code)
            case.validate_response(answer, checks=CHECKS)

        ask()
    assert len(asked) > 500
    assert {200, 201, 204, 404, 422} <= set(asked)
