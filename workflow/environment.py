"""Makes .venv from the locks for `make`: once, by one process at a time, and again where it does not work any more.

An environment works only in the folder it was made in, under the Python that it was made with, and if making it ended.
What was installed is vouched for by a stamp, written last, that names folder, Python and locks.
"""

from __future__ import annotations  # an older Python reads this far, to be told which one to name

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

VENV = Path(".venv")
PYTHON = VENV / "bin" / "python"
LOCK = Path(".venv.lock")
STUDY, CLUSTER, DEV = "study", "cluster", "dev"
INPUTS = {
    STUDY: ("requirements.lock", "pyproject.toml"),
    CLUSTER: ("requirements-cluster.lock",),
    DEV: ("requirements-dev.lock",),
}
WHAT = {
    STUDY: "the locked dependencies (several GB, most of it torch)",
    CLUSTER: "the plugins by which Snakemake submits jobs",
    DEV: "what the tests need",
}


def main(part: str, python: str, named: str) -> int:
    """Make the environment of `part`, study, cluster or dev, with the interpreter `python`; returns the exit status.

    An environment that works is kept under another Python, unless that was `named` on the command line of make.
    """
    if sys.version_info < (3, 11):  # noqa: UP036 -- it is run by whatever Python there is
        return _refuse("nervelab needs Python 3.11 or newer; name one: make PYTHON=python3.13")
    with LOCK.open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"another make is installing into {VENV}; waiting for it to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = _version(python) if named == "command line" else None
        if not _works(wanted):
            status = _make_anew(python)
            if status:
                return status
        for each in dict.fromkeys((STUDY, part)):
            status = _install(each)
            if status:
                return status
    return 0


def _works(wanted: str | None) -> bool:
    """Whether it was made here, by the Python that it has, which is the `wanted` one, and pip works in it."""
    version, said = _version(str(PYTHON)), _recorded()
    if version is None or said is None:
        return False
    here = _is_of_another_tool(said) or said.get("command", "").endswith(f" {VENV.absolute()}")
    recorded = said.get("version", said.get("version_info", ""))
    same = recorded.startswith(f"{version}.") and wanted in (None, version)
    return here and same and (_stamp(STUDY).exists() or _run("-m", "pip", "--version", quiet=True) == 0)


def _recorded() -> dict[str, str] | None:
    """What an environment says of itself."""
    config = VENV / "pyvenv.cfg"
    if not config.is_file():
        return None
    return dict(line.split(" = ", 1) for line in config.read_text(encoding="utf-8").splitlines() if " = " in line)


def _is_of_another_tool(said: dict[str, str]) -> bool:
    """Whether somebody made it by hand, so that it is not for make to remove."""
    return bool(said.keys() & {"uv", "virtualenv"})


def _make_anew(python: str) -> int:
    if VENV.exists():
        said = _recorded()
        if _is_of_another_tool(said or {}) or (said is None and any(VENV.iterdir())):
            return _refuse(f"{VENV} does not work, and make did not make it: move it away and run make again")
        _say(f"{VENV} does not work (made elsewhere, by another Python, or not to its end): making it again")
        shutil.rmtree(VENV)
    else:
        _say(f"creating {VENV}")
    if subprocess.run([python, "-m", "venv", str(VENV)], check=False).returncode:
        return _refuse(f"{python} could not make {VENV}, as it says above: mend that and run make again")
    return 0


def _install(part: str) -> int:
    """Install a part's lock, unless its stamp says that this was done here, by this Python, from these files."""
    stamp = _stamp(part)
    files = INPUTS[STUDY] + (INPUTS[part] if part != STUDY else ())
    hashes = [hashlib.sha256(Path(name).read_bytes()).hexdigest() for name in files]
    vouched = "\n".join([str(VENV.absolute()), str(_version(str(PYTHON))), *hashes, ""])
    if stamp.exists() and stamp.read_text(encoding="utf-8") == vouched:
        return 0
    stamp.unlink(missing_ok=True)
    _say(f"installing {WHAT[part]}")
    # The cluster's lock is no whole one: what it adds stands on what is there.
    alone = ("--no-deps",) if part == CLUSTER else ()
    status = _pip("--require-hashes", *alone, "-r", INPUTS[part][0])
    if part == STUDY and not status:
        status = _pip("--no-deps", "--editable", ".")
    if status:
        return _refuse("pip could not install it, as it says above: mend that and run make again")
    stamp.write_text(vouched, encoding="utf-8")
    return 0


def _stamp(part: str) -> Path:
    return VENV / f".{part}"


def _version(python: str) -> str | None:
    """Major and minor version of an interpreter, or None if it does not run."""
    try:
        code = "import sys; print('%d.%d' % sys.version_info[:2])"
        return subprocess.run([python, "-c", code], capture_output=True, encoding="utf-8", check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _pip(*words: str) -> int:
    return _run("-m", "pip", "install", "--quiet", "--disable-pip-version-check", *words)


def _run(*words: str, quiet: bool = False) -> int:
    out = subprocess.DEVNULL if quiet else None
    return subprocess.run([str(PYTHON), "-P", *words], stdout=out, stderr=out, check=False).returncode


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _refuse(sentence: str) -> int:
    sys.stderr.write(f"error: {sentence}.\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
