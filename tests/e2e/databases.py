"""PostgreSQL, MariaDB and MySQL servers of the tests' own, on free ports of the loopback. The first two are from
Debian's packages, MySQL from scripts/mysql_server.sh."""

import glob
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from waiting import wait_until

START_SECONDS = 120
# The user has rights on the databases of make_shop only.
ADMINISTRATOR, USER, PASSWORD = "administrator", "tester", "not-a-secret"
MYSQL_SCRIPT = pathlib.Path(__file__).parents[2] / "scripts" / "mysql_server.sh"


def engines(*default):
    """Those that tests run on: what E2E_ENGINES names, separated by blanks, or else these."""
    return os.environ.get("E2E_ENGINES", "").split() or list(default)


def servers(*default):
    """The same without SQLite."""
    return [engine for engine in engines(*default) if engine != "sqlite"]


def _mysql_program():
    """Skips the test where there is no MySQL; under CI=true that is a failure."""
    found = subprocess.run([MYSQL_SCRIPT, "--path"], text=True, capture_output=True, check=False).stdout.strip()
    if found:
        return found
    reason = "there is no MySQL server: scripts/mysql_server.sh brings it"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(f"NOT TESTED on MySQL: {reason}")


class DatabaseServer:
    """A server with its data in a folder of its own; can be stopped and started again on the same data."""

    def __init__(self, engine, port, settings=None):
        """`engine` is postgresql, mariadb or mysql; `settings` are PostgreSQL's."""
        self.engine, self.port = engine, port
        if engine == "mysql":
            self._program = _mysql_program()
        self._settings = [word for name, value in (settings or {}).items() for word in ("-c", f"{name}={value}")]
        # Not in pytest's folder, which only its owner may enter; the server may have another one.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="quittance-server-"))
        self.folder.chmod(0o755)
        self.data = self.folder / "data"
        self.process = None
        self._owner = "postgres" if engine == "postgresql" else "mysql"
        self._initialize()
        self.start()
        self._make_user()

    def _as_owner(self, *command):
        """The servers refuse root, and must not outlive the tests."""
        whole = ["setpriv", "--pdeathsig=" + ("QUIT" if self.engine == "postgresql" else "KILL")]
        if os.geteuid() == 0:
            whole += [f"--reuid={self._owner}", f"--regid={self._owner}", "--init-groups"]
        return [*whole, *map(str, command)]

    def _make_data_folder(self):
        if self.engine == "mysql":  # A copy of one that has never been used.
            shutil.copytree(pathlib.Path(self._program).parent / "data", self.data)
        else:
            self.data.mkdir()
        self.data.chmod(0o700)
        if os.geteuid() == 0:
            for path in [self.data, *self.data.rglob("*")]:
                shutil.chown(path, self._owner, self._owner)

    def _initialize(self):
        self._make_data_folder()
        if self.engine == "postgresql":
            self._programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
            password_file = self.folder / "password"
            password_file.write_text(PASSWORD)
            command = self._as_owner(f"{self._programs}/initdb", "-D", self.data, "-U", ADMINISTRATOR, "-E",
                                     "UTF8", "--locale=C", f"--pwfile={password_file}", "--auth=scram-sha-256")
            subprocess.run(command, check=True, capture_output=True, timeout=300)
            return
        # Run at each start.
        (self.folder / "first.sql").write_text(
            f"CREATE USER IF NOT EXISTS '{ADMINISTRATOR}'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n"
            f"GRANT ALL ON *.* TO '{ADMINISTRATOR}'@'127.0.0.1' WITH GRANT OPTION;\n")
        if self.engine == "mariadb":
            command = self._as_owner("mariadb-install-db", "--no-defaults", f"--datadir={self.data}",
                                     "--skip-test-db")
            subprocess.run(command, check=True, capture_output=True, timeout=300)

    def _make_user(self):
        self.sql(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'" if self.engine == "postgresql" else
                 f"CREATE USER {USER} IDENTIFIED BY '{PASSWORD}'")

    def _command(self):
        if self.engine == "postgresql":
            return self._as_owner(f"{self._programs}/postgres", "-D", self.data, "-p", self.port,
                                  "-c", "listen_addresses=127.0.0.1",
                                  "-c", f"unix_socket_directories={self.data}", *self._settings)
        # At its start a server removes what others have in a folder for temporary files that they share.
        program = ["/usr/sbin/mariadbd", "--no-defaults", f"--tmpdir={self.data}"]
        if self.engine == "mysql":
            # It writes a binary log unless told otherwise, and then lets nobody make the ledger's triggers.
            program = [self._program, "--performance-schema=OFF", "--mysqlx=OFF", "--secure-file-priv=NULL",
                       "--log-bin-trust-function-creators=ON"]
        return self._as_owner(*program, f"--datadir={self.data}",
                              f"--port={self.port}", "--bind-address=127.0.0.1", "--skip-name-resolve",
                              f"--socket={self.data}/socket", f"--pid-file={self.data}/pid",
                              f"--init-file={self.folder}/first.sql")

    def start(self):
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen(self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + START_SECONDS
        while self._sql("SELECT 1").returncode != 0:
            log = (self.folder / "server.log").read_text(errors="replace")
            assert self.process.poll() is None and time.monotonic() < end, f"no {self.engine}:\n{log[-4000:]}"
            time.sleep(0.1)

    def stop(self):
        """As an administrator would, without waiting for clients."""
        self.process.send_signal(signal.SIGINT if self.engine == "postgresql" else signal.SIGTERM)
        self.process.wait(60)

    def crash(self):
        """kill -9 of the server; of PostgreSQL's first process, without a word to the others: these notice, and
        end."""
        pid = self.process.pid
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        self.process.kill()
        self.process.wait()
        wait_until(lambda: not any(pathlib.Path(f"/proc/{child}").exists() for child in children), 60,
                   "the last process of the server to end")

    def _processes(self):
        pid = self.process.pid
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *map(int, children)]

    def freeze(self):
        """It is there, and says nothing any more."""
        for pid in self._processes():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self):
        for pid in self._processes():
            os.kill(pid, signal.SIGCONT)

    def end(self):
        if self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.folder)

    def _sql(self, statement, database=None):
        if self.engine == "postgresql":
            return subprocess.run(
                [f"{self._programs}/psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", ADMINISTRATOR, "-XAtq",
                 "-d", database or "postgres", "-c", statement],
                env={**os.environ, "PGPASSWORD": PASSWORD}, capture_output=True, text=True, check=False)
        return subprocess.run(
            ["mariadb", "--no-defaults", "-h", "127.0.0.1", "-P", str(self.port), "-u", ADMINISTRATOR,
             f"-p{PASSWORD}", "-BN", "-e", statement, *([database] if database else [])],
            capture_output=True, text=True, check=False)

    def sql(self, statement, database=None):
        """The rows that it prints, as lists of texts."""
        done = self._sql(statement, database)
        assert done.returncode == 0, done.stderr
        return [line.split("|" if self.engine == "postgresql" else "\t") for line in done.stdout.splitlines()]

    def url(self, database, password=PASSWORD):
        scheme = "postgresql" if self.engine == "postgresql" else "mysql"
        return f"{scheme}://{USER}:{password}@127.0.0.1:{self.port}/{database}"

    def parts_for_socket(self):
        """Variables in place of an address, but for the database's name: the server's Unix socket, as Cloud
        Run has it in a folder."""
        host = self.data / "socket"
        if self.engine == "postgresql":
            # Where no port is given, PostgreSQL's own is a part of the name.
            host = self.folder / "cloudsql"
            if not host.exists():
                host.mkdir()
                (host / ".s.PGSQL.5432").symlink_to(self.data / f".s.PGSQL.{self.port}")
        return {"DB_ENGINE": self.engine, "DB_HOST": str(host), "DB_USER": USER, "DB_PASSWORD": PASSWORD}

    def make_database(self, name, encoding=None):
        """Empty; in UTF-8 unless another encoding is named, as the server names it."""
        if self.engine == "postgresql":
            self.sql(f"CREATE DATABASE {name} OWNER {USER} ENCODING '{encoding or 'UTF8'}' LOCALE 'C' "
                     "TEMPLATE template0")
        else:
            self.sql(f"CREATE DATABASE {name} CHARACTER SET {encoding or 'utf8mb4'}; "
                     f"GRANT ALL ON {name}.* TO {USER}")

    def make_shop(self, name):
        """Two fresh databases; the environment for a program that works on them."""
        for service in ("orders", "payments"):
            self.make_database(f"{name}_{service}")
        return {"DATABASE_URL": self.url(f"{name}_orders"),
                "PAYMENTS_DATABASE_URL": self.url(f"{name}_payments")}
