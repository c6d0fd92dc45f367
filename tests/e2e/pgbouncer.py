"""PgBouncer before a PostgreSQL server of the tests' own."""

import os
import shutil
import socket
import subprocess
import tempfile
import pathlib

from databases import PASSWORD, USER
from server import free_port
from waiting import wait_until


class PgBouncer:
    """Listens on 127.0.0.1 until stopped."""

    def __init__(self, server, pool_mode, **settings):
        self.port = free_port()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="quittance-pgbouncer-"))
        self.folder.chmod(0o755)
        users = self.folder / "users.txt"
        users.write_text(f'"{USER}" "{PASSWORD}"\n')
        settings = {"listen_addr": "127.0.0.1", "listen_port": self.port, "unix_socket_dir": "",
                    "auth_type": "scram-sha-256", "auth_file": users, "pool_mode": pool_mode, **settings}
        configuration = self.folder / "pgbouncer.ini"
        configuration.write_text(
            f"[databases]\n* = host=127.0.0.1 port={server.port}\n[pgbouncer]\n"
            + "".join(f"{name} = {value}\n" for name, value in settings.items()))
        command = ["setpriv", "--pdeathsig=KILL"]
        if os.geteuid() == 0:
            # It refuses root.
            command += ["--reuid=postgres", "--regid=postgres", "--init-groups"]
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen([*command, shutil.which("pgbouncer", path="/usr/sbin:/usr/bin"),
                                             configuration], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self._listens, 20, "PgBouncer to listen")

    def _listens(self):
        assert self.process.poll() is None, (self.folder / "log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def environment(self, name):
        """For a program that works on the databases of DatabaseServer.make_shop(name)."""
        def url(service):
            return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{name}_{service}"
        return {"DATABASE_URL": url("orders"), "PAYMENTS_DATABASE_URL": url("payments")}

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        shutil.rmtree(self.folder)
