"""What every test may use. The fixtures live in `fix_*.py`, one noun each."""

from __future__ import annotations

pytest_plugins = ["fix_engine", "fix_servers", "fix_sessions", "fix_proxy", "fix_commands"]
