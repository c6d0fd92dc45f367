"""Databases that are there and do not do what they should: locked, slow, read-only, full, replaced. No order is lost,
nobody is answered 500, no event uses up a delivery, and all heals by itself."""

import contextlib
import os
import shutil
import subprocess
import threading
import time

import pytest
import requests

from client import Client, expect_problem, item, order_body
from databases import PASSWORD, servers
from metrics import metrics_of
from server import run_quittance
from waiting import wait_until

LOCKED_SECONDS = {"postgresql": 25, "mariadb": 12, "mysql": 12}
READY_SECONDS = 20
SETTLE_SECONDS = 90


class Orders:
    """Places orders one after the other until it is stopped, and notes how they were answered."""

    def __init__(self, url):
        self._client = Client(url).register("Ada Byron")
        self.placed, self.answers = [], {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.is_set():
            answer = self._client.post("/orders", order_body(item("ceramic-mug")))
            self.answers[answer.status_code] = self.answers.get(answer.status_code, 0) + 1
            if answer.status_code == 201:
                self.placed.append(answer.json()["id"])
            if answer.status_code == 503:
                assert int(answer.headers["Retry-After"]) > 0
            time.sleep(0.05)

    def stop(self):
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()
        print(f"answers: {self.answers}")
        assert set(self.answers) <= {201, 503}, "nobody repeats what was answered 500"


def reasons_of(server):
    return " ".join(requests.get(f"{server.url}/health/ready", timeout=10).json().get("reasons", []))


def expect_all_paid(server, placed, environment=None):
    customer_orders = set(placed)
    client = Client(server.url).login(*server.admin_credentials())
    for order_id in customer_orders:
        client.wait_for_order(order_id, seconds=SETTLE_SECONDS, status="PAID")
    assert metrics_of(server)["payment_events_returned_total"] == 0, "a delivery was used up"
    server.stop()
    where = {"environment": environment} if environment else {}
    arguments = [] if environment else ["--data", server.data]
    listed = run_quittance("dead-letters", "list", *arguments, **where)
    assert (listed.returncode, listed.stdout) == (0, ""), listed.stdout + listed.stderr


@contextlib.contextmanager
def locked_table(database, name, seconds):
    """In a session of its own; ends by itself."""
    if database.engine == "postgresql":
        statement = f"BEGIN; LOCK TABLE payments IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep({seconds}); COMMIT"
    else:
        statement = f"LOCK TABLES payments WRITE; DO SLEEP({seconds}); UNLOCK TABLES"
        if database.engine == "mariadb":
            statement = f"SET max_statement_time = 0; {statement}"
    thread = threading.Thread(target=database.sql, args=(statement, f"{name}_payments"))
    thread.start()
    yield
    thread.join()


@pytest.mark.parametrize("engine", servers("postgresql", "mysql"))
def test_a_table_that_is_locked_for_a_while_costs_no_order_and_no_delivery(engine, database_server, make_server):
    database, name = database_server(engine), "locked"
    environment = database.make_shop(name)
    server = make_server(environment=environment).start()
    limited = engine == "mariadb"
    if limited:  # The server cuts what waits, with error 1969.
        database.sql("SET GLOBAL max_statement_time = 2")
    try:
        orders = Orders(server.url)
        wait_until(lambda: len(orders.placed) > 3, 20, "the first orders")
        with locked_table(database, name, LOCKED_SECONDS[engine]):
            pass
        orders.stop()
    finally:
        if limited:
            database.sql("SET GLOBAL max_statement_time = 0")
    expect_all_paid(server, orders.placed, environment)


def expect_not_ready_and_no_orders(server, customer, word):
    wait_until(lambda: not server.is_ready(), READY_SECONDS, "the server to say that it is not ready")
    wait_until(lambda: word in reasons_of(server), READY_SECONDS, f"the reason to name {word}")
    assert PASSWORD not in reasons_of(server)
    for _ in range(3):
        answer = customer.post("/orders", order_body(item("ceramic-mug")))
        expect_problem(answer, 503)
        assert int(answer.headers["Retry-After"]) > 0


def expect_orders_again(server, customer):
    wait_until(server.is_ready, READY_SECONDS, "the server to be ready again")
    wait_until(lambda: customer.post("/orders", order_body(item("ceramic-mug"))).status_code == 201, READY_SECONDS,
               "an order to be accepted")


@pytest.mark.parametrize("engine", servers("postgresql", "mysql"))
def test_a_server_that_turns_read_only_is_not_ready_and_says_why_until_it_takes_writes_again(
        engine, database_server, make_server):
    database, name = database_server(engine), "replica"
    environment = database.make_shop(name)
    if engine != "postgresql":  # Who may do everything may write as well.
        database.sql(f"CREATE USER shopper@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'")
        for service in ("orders", "payments"):
            database.sql(f"GRANT ALL ON {name}_{service}.* TO shopper@'127.0.0.1'")
        environment = {key: url.replace("//tester:", "//shopper:") for key, url in environment.items()}
        read_only, writable = ["SET GLOBAL read_only = 1"], ["SET GLOBAL read_only = 0"]
    else:
        read_only = ["ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"]
        writable = ["ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()"]
    server = make_server(environment=environment).start()
    customer = Client(server.url).register("Ada Byron")
    orders = Orders(server.url)
    wait_until(lambda: len(orders.placed) > 3, 20, "the first orders")
    try:
        for statement in read_only:
            database.sql(statement)
        expect_not_ready_and_no_orders(server, customer, "read-only")
    finally:
        for statement in writable:
            database.sql(statement)
    expect_orders_again(server, customer)
    orders.stop()
    expect_all_paid(server, orders.placed, environment)


@contextlib.contextmanager
def read_only_files(folder):
    """As on a file system that turned read-only: writes through open files fail, and they open for reading only."""
    files = [str(file) for file in folder.iterdir() if file.name.endswith((".db", "-wal"))]
    try:
        done = subprocess.run(["chattr", "+i", *files], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"NOT TESTED: needs root and a file system with chattr +i: {done.stderr}")
        yield
    finally:
        subprocess.run(["chattr", "-i", *files], capture_output=True, check=False)


def test_sqlite_files_that_turn_read_only_and_come_back_heal_without_a_restart(make_server):
    server = make_server().start()
    customer = Client(server.url).register("Ada Byron")
    orders = Orders(server.url)
    wait_until(lambda: len(orders.placed) > 3, 20, "the first orders")
    with read_only_files(server.data):
        expect_not_ready_and_no_orders(server, customer, "read-only")
        login = customer.post("/users/login", {"email": customer.email, "password": customer.password}, token=None)
        assert login.status_code == 503
        time.sleep(3)
    expect_orders_again(server, customer)
    orders.stop()
    expect_all_paid(server, orders.placed)


@pytest.mark.parametrize("how", ["replaced", "removed"])
def test_a_sqlite_file_that_is_replaced_or_removed_ends_the_program_with_a_sentence(how, make_server):
    server = make_server().start()
    customer = Client(server.url).register("Ada Byron")
    customer.place_order(item("ceramic-mug"))
    file = server.data / "orders.db"
    if how == "replaced":
        shutil.copy(file, server.data / "restored.db")
        os.rename(server.data / "restored.db", file)
    else:
        file.unlink()
    code = server.process.wait(15)
    assert code == 1
    end = server.log().splitlines()[-1]
    assert end.startswith("quittance: failed: ") and f"orders.db was {how}" in end, end
    assert "restored" in end and "start it again" in end


@pytest.fixture
def full_disk(tmp_path):
    """A file system with blocks of 1 KB; `fill` leaves no room."""
    image, folder = tmp_path / "disk.img", tmp_path / "disk"
    folder.mkdir()
    with open(image, "wb") as file:
        file.truncate(64 << 20)
    for command in (["mkfs.ext4", "-q", "-b", "1024", "-m", "0", image], ["mount", "-o", "loop", image, folder]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"NOT TESTED: needs root and a loop device: {done.stderr}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder):
    with open(folder / "filler", "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1024))


def test_a_full_disk_with_small_blocks_refuses_a_start_with_a_sentence(full_disk, make_server):
    data = full_disk / "data"
    data.mkdir()
    arguments = ("migrate", "--data", data)
    assert run_quittance(*arguments).returncode == 0
    fill(full_disk)
    ended = run_quittance(*arguments)
    assert ended.returncode == 2, f"{ended.returncode}: {ended.stderr}"
    assert "no room for" in ended.stderr and "No space left" in ended.stderr, ended.stderr
    (full_disk / "filler").unlink()
    assert run_quittance(*arguments).returncode == 0
