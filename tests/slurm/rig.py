"""A Slurm of one node for tests: accounting, cgroups, two made-up GPUs, all on 127.0.0.1 and below one folder.

It is nearer to a real cluster than a Slurm that is only started: under its cgroups a signal reaches what Slurm itself
has started and nothing below, memory is limited, and with its accounting `sacct` answers. Two partitions, of which
`urgent` preempts `gpu`. Root is needed, and nothing below /etc: SLURM_CONF names its settings.

    python tests/slurm/rig.py            says why it cannot run here, or nothing
    python tests/slurm/rig.py FOLDER     runs one in FOLDER until it is interrupted
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

APT = (
    "apt-get install -y --no-install-recommends slurmctld slurmd slurmdbd slurm-client slurm-wlm-mysql-plugin munge "
    "mariadb-server-core mariadb-client-core"
)
COMMANDS = ("sacct", "sacctmgr", "sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun", "sshare")
PROGRAMS = ("munged", "mariadbd", "mariadb-install-db", "setpriv", "slurmdbd", "slurmctld", "slurmd", *COMMANDS)
SEARCHED = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
HOST = socket.gethostname().split(".")[0]
CGROUPS = Path("/sys/fs/cgroup")
PATIENCE = 300.0  # seconds, for what takes one or two
PORTS = range(21000, 29000)
# What is run in a job sees no package index: what fetches runs where the build runs.
PROLOG = """\
#!/bin/sh
echo export PIP_INDEX_URL=http://127.0.0.1:9/
echo export PIP_CONFIG_FILE=/dev/null
echo unset PIP_FIND_LINKS
echo unset PIP_EXTRA_INDEX_URL
"""


class NotHere(Exception):
    """This machine cannot run it; the message says why, and what would help."""


def why_not() -> str | None:
    """Why it cannot run here, in one sentence, or None."""
    if os.geteuid() != 0:
        return "Slurm's daemons need root"
    lacking = [program for program in PROGRAMS if shutil.which(program, path=SEARCHED) is None]
    lacking += _lacking_plugins()
    if lacking:
        return f"{', '.join(lacking)} cannot be found: {APT}"
    return _why_no_cgroups()


def _lacking_plugins() -> list[str]:
    """The part of slurmdbd that comes in a package of its own, where it is missing."""
    name = "accounting_storage_mysql.so"
    return [] if any(Path("/usr").glob(f"lib*/**/slurm*/{name}")) else [name]


def _why_no_cgroups() -> str | None:
    if _unified():
        needed = {"cpuset", "memory", "cpu"}
        there = set((CGROUPS / "cgroup.controllers").read_text(encoding="utf-8").split())
        places = [CGROUPS]
    else:
        needed = {"freezer", "memory", "cpuset", "cpuacct"}
        there = {each.name for each in CGROUPS.iterdir()} if CGROUPS.is_dir() else set()
        places = [CGROUPS / each for each in sorted(needed)]
    if needed - there:
        return f"{CGROUPS} lacks the cgroup controllers {', '.join(sorted(needed - there))}, which Slurm's jobs need"
    for place in places:
        probe = place / f"probe-{os.getpid()}"
        try:
            probe.mkdir()
            probe.rmdir()
        except OSError as error:
            return f"no cgroup can be made in {place} ({error.strerror}), which Slurm's jobs need"
    return None


def _unified() -> bool:
    """Whether the machine has cgroups of version 2 alone."""
    return (CGROUPS / "cgroup.controllers").exists()


class Slurm:
    """A running Slurm, its state in `folder`; `environment` is what makes its commands find it."""

    def __init__(
        self, folder: Path, *, kill_wait: int = 30, preempt_mode: str = "REQUEUE", min_job_age: int = 300
    ) -> None:
        self.folder = folder
        self.kill_wait, self.preempt_mode, self.min_job_age = kill_wait, preempt_mode, min_job_age
        self.daemons: list[tuple[str, subprocess.Popen]] = []
        self.environment = {
            **os.environ,
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": f"{folder / 'bin'}{os.pathsep}{SEARCHED}",
        }

    def __enter__(self) -> Slurm:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start all daemons, and return when a job could run.

        Raises:
            NotHere: it cannot run here, or one of its daemons ended; says which, and the end of its log.
        """
        reason = why_not()
        if reason is not None:
            raise NotHere(reason)
        for name in ("bin", "state", "spool", "log", "munge"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        if len(str(self.socket)) > 100:
            raise NotHere(f"{self.socket} is too long for a socket: name a shorter folder")
        self.folder.chmod(0o755)
        self._configure()
        key = self.folder / "munge" / "key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(1024))
        self._start_munge_and_database()
        self._daemon("slurmdbd", "slurmdbd", "-D")
        self.wait(lambda: _answers(self.ports["slurmdbd"]), "slurmdbd")
        cluster = ("add", "cluster", "test")
        account = ("add", "account", "lab", "Description=lab", "Organization=lab", "Cluster=test")
        user = ("add", "user", "root", "Account=lab")
        for words in (cluster, account, user):
            self.run("sacctmgr", "-i", *words)
        self._daemon("slurmctld", "slurmctld", "-D", "-c", "-f", str(self.folder / "slurm.conf"))
        self._daemon("slurmd", "slurmd", "-D", "-c", "-f", str(self.folder / "slurm.conf"))
        self.wait(lambda: "idle" in self.ask("sinfo", "-h", "-o", "%T"), "slurmctld", "slurmd")

    def stop(self) -> None:
        """End all jobs, then all daemons, the last first."""
        if any(name == "slurmctld" and daemon.poll() is None for name, daemon in self.daemons):
            self.ask("scancel", "--full", "--user=root", "--signal=KILL")
            self.ask("scancel", "--user=root")
            self._quietly_until(lambda: not self.queue() and not any(self.folder.glob(f"spool/{HOST}_*")))
        while self.daemons:
            _, daemon = self.daemons.pop()
            daemon.terminate()
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    @property
    def socket(self) -> Path:
        """Where munge answers."""
        return self.folder / "munge" / "socket"

    def run(self, *words: str) -> str:
        """What one of its commands prints; it must succeed."""
        answer = subprocess.run(words, env=self.environment, capture_output=True, text=True, check=False)
        assert answer.returncode == 0, f"{' '.join(words)}: exit {answer.returncode}\n{answer.stdout}{answer.stderr}"
        return answer.stdout

    def ask(self, *words: str) -> str:
        """What one of its commands prints, whether or not it succeeds."""
        return subprocess.run(words, env=self.environment, capture_output=True, text=True, check=False).stdout

    def queue(self) -> dict[str, str]:
        """The state of every job that has not ended, by its number."""
        lines = self.ask("squeue", "-h", "-a", "-o", "%i %T").splitlines()
        return dict(line.split() for line in lines)

    def state(self, job: str) -> str:
        """What accounting says of a job: its state, in one word."""
        words = self.ask("sacct", "-n", "-X", "-P", "-j", job, "-o", "State").split()
        return words[0] if words else ""

    def start_now(self, job: str) -> None:
        """Take away the time that Slurm lets a requeued job wait."""
        self.ask("scontrol", "update", f"JobId={job}", "StartTime=now")

    def preempt_by(self, mode: str) -> None:
        """What becomes of a job of the partition gpu that one of `urgent` preempts: REQUEUE or CANCEL."""
        self.run("scontrol", "update", "PartitionName=gpu", f"PreemptMode={mode}")

    def _configure(self) -> None:
        """Write its settings, and choose its ports."""
        folder, host, cpus = self.folder, HOST, os.cpu_count()
        self.ports = dict(zip(("database", "slurmdbd", "slurmctld", "slurmd"), _free_ports(4), strict=True))
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20 - 256
        auth = f"AuthType=auth/munge\nAuthInfo=socket={self.socket}\n"
        swap = _unified() or (CGROUPS / "memory" / "memory.memsw.limit_in_bytes").exists()
        version = "CgroupPlugin=cgroup/v2\nIgnoreSystemd=yes" if _unified() else "CgroupPlugin=cgroup/v1"
        prolog = folder / "prolog"
        prolog.write_text(PROLOG, encoding="utf-8")
        prolog.chmod(0o755)
        # Snakemake's plugin takes SLURM_CONF away from the srun that it starts in a job.
        for name in COMMANDS:
            command = folder / "bin" / name
            program = shutil.which(name, path=SEARCHED)
            command.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {program} "$@"\n', encoding="utf-8")
            command.chmod(0o755)
        texts = {
            "slurmdbd.conf": f"""\
{auth}DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={self.ports["slurmdbd"]}
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={self.ports["database"]}
StorageUser=root
StorageLoc=slurm_acct
PidFile={folder}/slurmdbd.pid
LogFile={folder}/log/slurmdbd.log
""",
            "cgroup.conf": f"""\
{version}
CgroupMountpoint={CGROUPS}
ConstrainRAMSpace=yes
ConstrainSwapSpace={"yes" if swap else "no"}
ConstrainCores=yes
ConstrainDevices=no
""",
            "gres.conf": f"NodeName={host} Name=gpu File=/dev/null\nNodeName={host} Name=gpu File=/dev/zero\n",
            "slurm.conf": f"""\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
{auth}CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.log
SlurmctldPort={self.ports["slurmctld"]}
SlurmdPort={self.ports["slurmd"]}
FirstJobId={self.ports["slurmd"] * 1000}
ProctrackType=proctrack/cgroup
TaskPlugin=task/cgroup
TaskProlog={prolog}
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=2
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={self.ports["slurmdbd"]}
AccountingStoragePass={self.socket}
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
DefMemPerCPU=1000
KillWait={self.kill_wait}
MinJobAge={self.min_job_age}
PreemptType=preempt/partition_prio
PreemptMode={self.preempt_mode}
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:2 State=UNKNOWN
PartitionName=gpu Nodes={host} Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes={host} Default=NO MaxTime=INFINITE State=UP PriorityTier=10
""",
        }
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
            (folder / name).chmod(0o600 if name == "slurmdbd.conf" else 0o644)

    def _start_munge_and_database(self) -> None:
        munge, database = self.folder / "munge", self.folder / "db"
        self._daemon(
            *("munged", "munged", "--foreground", "--force"),
            *(f"--{name}-file={munge / name}" for name in ("key", "pid", "log", "seed")),
            f"--socket={self.socket}",
        )
        if not (database / "mysql").exists():
            self.run(
                *("mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={database}"),
                *("--auth-root-authentication-method=normal", "--skip-test-db"),
            )
        self._daemon(
            *("mariadbd", "mariadbd", "--no-defaults", "--user=root", f"--datadir={database}"),
            *(f"--socket={self.folder / 'db.sock'}", f"--port={self.ports['database']}", "--bind-address=127.0.0.1"),
            *("--innodb-buffer-pool-size=128M", "--innodb-lock-wait-timeout=900"),
            f"--pid-file={self.folder / 'db.pid'}",
        )
        self.wait(lambda: self.socket.exists() and _answers(self.ports["database"]), "munged", "mariadbd")

    def _daemon(self, name: str, *command: str) -> None:
        # A daemon ends with this process, also where that is killed.
        command = ("setpriv", "--pdeathsig", "TERM", *command)
        with (self.folder / "log" / f"{name}.out").open("wb") as out:
            daemon = subprocess.Popen(
                command, env=self.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        self.daemons.append((name, daemon))

    def wait(self, reached: Callable[[], bool], *names: str) -> None:
        """Wait for a condition, as long as the daemons of these names live, or of all."""
        end = time.monotonic() + PATIENCE
        while not reached():
            for name, daemon in self.daemons:
                if (name in names or not names) and (daemon.poll() is not None or time.monotonic() > end):
                    logs = [self.folder / "log" / f"{name}.{kind}" for kind in ("out", "log")]
                    said = "\n".join(path.read_text(errors="replace")[-2000:] for path in logs if path.exists())
                    raise NotHere(f"{name} ended, or what was waited for never came:\n{said}")
            time.sleep(0.05)

    def _quietly_until(self, reached: Callable[[], bool]) -> None:
        end = time.monotonic() + self.kill_wait + 30
        while not reached() and time.monotonic() < end:
            time.sleep(0.1)


def _answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _free_ports(count: int) -> list[int]:
    """Ports below those that connections are given, which nobody listens on; where to look depends on the process."""
    found = []
    first = os.getpid() * count % len(PORTS)
    for port in [*PORTS[first:], *PORTS[:first]]:
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            break
    return found


def main(words: list[str]) -> int:
    """See above."""
    if not words:
        sys.stdout.write(f"{why_not() or ''}\n")
        return 0
    with Slurm(Path(words[0]).resolve()) as slurm:
        for name in ("SLURM_CONF", "PATH"):
            sys.stdout.write(f"export {name}={slurm.environment[name]}\n")
        sys.stdout.flush()
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
