"""What tests share: folders that are made once, a database server, and no waiting for the disk."""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def flush_nothing() -> None:
    """From now on this process does not wait until files have reached the disk.

    Only a machine that loses its power could show the difference, and no test takes it away. Every
    checkpoint waits some milliseconds for the disk, in which a core has nothing to do. Whoever
    counts or breaks the calls still sees each of them.
    """
    os.fsync = lambda descriptor: None  # type: ignore[assignment]


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that is made once, whichever process of pytest-xdist needs it first.

    Args:
        factory: pytest's folders.
        name: Name of the folder, the same in every process.
        make: Fills the folder, which gets its name afterwards: what is in it must not know its
            own path.

    Returns:
        The folder. Nobody may change it.
    """
    base = factory.getbasetemp()
    base = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "once"
    base.mkdir(exist_ok=True)
    folder, begun = base / name, base / f".{name}"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            shutil.rmtree(begun, ignore_errors=True)  # of a process that has failed
            begun.mkdir()
            make(begun)
            begun.rename(folder)
    return folder


def _programs() -> Path:
    """Where Debian puts them, which is not on PATH, or else where PATH says."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    on_path = shutil.which("initdb")
    folders += [Path(on_path).resolve().parent] if on_path else []
    found = next((folder for folder in folders if (folder / "pg_ctl").exists()), None)
    if found is None:
        pytest.skip("no PostgreSQL server here (Debian: apt-get install postgresql)")
    return found


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """A server of its own that ends with the test; its URL."""
    pytest.importorskip("psycopg", reason="psycopg is not installed (pip install psycopg[binary])")
    programs = _programs()
    user = {}
    if os.getuid() == 0:  # the server refuses to run as root
        try:
            account = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        os.chown(folder, account.pw_uid, account.pw_gid)
        for above in (folder, *folder.parents):  # pytest closes its folders to others
            if above.stat().st_uid == 0 and above != Path("/"):
                above.chmod(above.stat().st_mode | 0o011)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = folder / "data"

    def call(program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(programs / program), *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            **user,  # type: ignore[call-overload]
        )
        assert done.returncode == 0, done.stdout + done.stderr

    locale = ("--no-locale", "-E", "UTF8")
    call("initdb", "-D", str(data), "-A", "trust", "-U", "tester", "--no-sync", *locale)
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"
    call("pg_ctl", "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield f"postgresql+psycopg://tester@127.0.0.1:{port}/postgres"
    finally:
        call("pg_ctl", "-D", str(data), "-m", "immediate", "stop")
