"""The command line as a program that starts at once: loaded in one process, and forked for each call.

A page has a dozen commands, and most of the time of each would go into importing the same modules again. What runs is
``normalform.cli.main`` as the installed script runs it, with the caller's folder, environment, arguments and files.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import normalform

#: The caller: hands everything over, waits for the exit status. Without site packages, so that it starts at once.
CALLER = """
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as s:
    s.connect({address!r})
    call = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(s, [len(call).to_bytes(4, "big")], [0, 1, 2])
    s.sendall(call)
    status = s.recv(1)
sys.exit(status[0] if status else 70)
"""


@contextmanager
def installed(program: Path, address: Path) -> Iterator[None]:
    """Put the program at a path while the block lasts.

    Args:
        program: where; whoever runs it gets the command line.
        address: of the socket; it must be short, as sockets' names are.
    """
    caller = CALLER.format(address=str(address))
    program.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-IS", "-c", caller])} "$@"\n')
    program.chmod(0o755)
    command = [sys.executable, __file__, str(address)]
    environment = {**os.environ, "PYTHONPATH": str(Path(normalform.__file__).parents[1])}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == b"ready\n"
            yield
        finally:
            server.kill()


def _serve(address: str) -> None:
    from normalform.cli import main

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            caller, _ = listener.accept()
            with caller:
                size, files, _, _ = socket.recv_fds(caller, 4, 3)
                if os.fork() == 0:
                    _answer(caller, int.from_bytes(size, "big"), files, main)
                for file in files:
                    os.close(file)


def _answer(caller: socket.socket, size: int, files: list[int], main: object) -> None:
    """In the child: be the caller, and tell him how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    call = b""
    while len(call) < size:
        call += caller.recv(size - len(call))
    arguments, folder, environment = json.loads(call)
    for number, file in enumerate(files):
        os.dup2(file, number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    status = 70
    try:
        assert callable(main)
        main(arguments)
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 70
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        caller.sendall(bytes([status]))
        os._exit(status)


if __name__ == "__main__":
    _serve(sys.argv[1])
