"""The runbook as commands: environments, backups, smoke tests, processes, releases. `python -m photocat.operate`."""
