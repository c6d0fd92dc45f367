"""The programs under test: where they are, and one running all-in-one."""

import contextlib
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import sqlite3
import subprocess
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = pathlib.Path(os.environ.get("QUITTANCE_BIN", REPOSITORY / "build/release/bin")).resolve()
QUITTANCE = PROGRAMS / "quittance"
ORDER_SERVICE = PROGRAMS / "order-service"
PAYMENT_SERVICE = PROGRAMS / "payment-service"
LOAD_DRIVER = PROGRAMS / "load-driver"

START_SECONDS = 60
STOP_SECONDS = 10


def free_port():
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run_quittance(*arguments, stdin="", seconds=60, environment=None, program=QUITTANCE):
    """Runs one subcommand, or another of our programs, to its end; its exit code and output."""
    return subprocess.run([program, *map(str, arguments)], input=stdin, text=True, capture_output=True,
                          timeout=seconds, check=False, env={**os.environ, **(environment or {})})


def make_signing_key(file):
    """A new private key for access tokens."""
    file.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", file],
                   check=True, capture_output=True)
    return file


class Server:
    """`quittance serve`, or another of our services, on a data folder; can be stopped, killed and started
    again on the same one."""

    def __init__(self, folder, environment=None, command=(QUITTANCE, "serve"), demo=True):
        folder.mkdir(parents=True, exist_ok=True)
        self.data = folder / "data"
        self._command = [*command, *(["--demo"] if demo else []), "--data", self.data]
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None
        self.environment = {**os.environ, **(environment or {})}
        if ORDER_SERVICE in command and "DATABASE_URL" in self.environment:
            # Beside a database server it makes none of its own.
            if "JWT_SIGNING_KEY_FILE" not in self.environment:
                self.environment["JWT_SIGNING_KEY_FILE"] = str(make_signing_key(self.data / "signing-key.pem"))
        self._output_file = folder / "stdout.txt"
        self._log_file = folder / "stderr.txt"

    def spawn(self, standard_error=None):
        """Starts the program and returns at once. Its log goes to a file, or to another descriptor."""
        with open(self._output_file, "ab") as output, open(self._log_file, "ab") as log:
            self.process = subprocess.Popen(
                [*self._command, "--port", str(self.port)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=standard_error or log, env=self.environment)
        return self

    def start(self, standard_error=None):
        """Starts the program and returns when it is ready."""
        self.spawn(standard_error)
        end = time.monotonic() + START_SECONDS
        while not self.is_ready():
            assert self.is_running(), f"it ended with {self.process.returncode}:\n{self.last_log()}"
            assert time.monotonic() < end, f"not ready after {START_SECONDS} s:\n{self.last_log()}"
            time.sleep(0.002)
        return self

    def is_ready(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def stop(self, by=signal.SIGTERM):
        """It must end in good order and in time. Returns the seconds that took."""
        begin = time.monotonic()
        self.process.send_signal(by)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still there {STOP_SECONDS} s after {by.name}:\n{self.last_log()}") from None
        assert code == 0, f"it ended with {code}:\n{self.last_log()}"
        return time.monotonic() - begin

    def kill(self):
        self.process.kill()
        self.process.wait()

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def output(self):
        return self._output_file.read_text() if self._output_file.exists() else ""

    def log(self):
        return self._log_file.read_text(errors="replace") if self._log_file.exists() else ""

    def last_log(self):
        """The part that a failure is explained in."""
        return self.log()[-6000:]

    def admin_credentials(self):
        """What --demo printed on the first start."""
        email = re.search(r"^admin e-mail: (\S+)$", self.output(), re.MULTILINE)
        password = re.search(r"^admin password: (\S+)$", self.output(), re.MULTILINE)
        assert email and password, f"no admin was printed:\n{self.output()}"
        return email.group(1), password.group(1)

    def signing_key_file(self):
        files = list(self.data.glob("**/*.pem"))
        assert len(files) == 1, f"expected one signing key in the data folder: {files}"
        return files[0]

    def query(self, database, sql):
        """Reads a database of the data folder directly."""
        with contextlib.closing(sqlite3.connect(f"file:{self.data / database}?mode=ro", uri=True,
                                                timeout=30)) as connection:
            return connection.execute(sql).fetchall()

    def change(self, database, sql, *values):
        """Writes to a database of the data folder directly, as no program of ours would."""
        with contextlib.closing(sqlite3.connect(self.data / database, timeout=30)) as connection, connection:
            connection.execute(sql, values)

    def memory_kilobytes(self, field="VmRSS"):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE).group(1))


class LoadDriver:
    """The load driver in the background."""
    running = []

    def __init__(self, folder, *arguments):
        self._report_file = folder / "load.json"
        self.process = subprocess.Popen(
            [LOAD_DRIVER, *map(str, arguments), "--json", self._report_file],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        LoadDriver.running.append(self.process)

    @classmethod
    def end_all(cls):
        """What a test that failed has left."""
        for process in cls.running:
            process.kill()
            process.wait()
        cls.running.clear()

    def finish(self, seconds):
        """Waits for its end, prints what it says and returns its report."""
        try:
            output, _ = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        print(output)
        assert self._report_file.exists(), f"the load driver failed:\n{output}"
        return json.loads(self._report_file.read_text())

    def stop(self, seconds=60):
        """Ends it early, in good order."""
        self.process.send_signal(signal.SIGTERM)
        return self.finish(seconds)
