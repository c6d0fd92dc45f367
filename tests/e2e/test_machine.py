"""The surroundings that a program finds: descriptors, pipes, users, clocks, poolers, and what settings are like when
people and providers write them."""

import contextlib
import fcntl
import os
import pathlib
import shutil
import socket
import sqlite3
import tempfile
import threading
import time

import pytest

from client import Client, stock_shelves
from databases import PASSWORD
from metrics import samples
from pgbouncer import PgBouncer
from server import ORDER_SERVICE, PAYMENT_SERVICE, QUITTANCE, make_signing_key, run_quittance
from waiting import wait_until

HIDDEN = "hunter2-secret"


# Standard error

class Pipe:
    """For a program's log; small, so that little fills it."""

    def __init__(self):
        self.reading, self.writing = os.pipe()
        fcntl.fcntl(self.writing, fcntl.F_SETPIPE_SZ, 4096)

    def fill(self):
        """So that whoever writes waits."""
        os.set_blocking(self.writing, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(self.writing, b"x")
        os.set_blocking(self.writing, True)

    def read_until(self, text):
        """In a thread of its own: a program that writes nothing more shall not stop the test for ever."""
        found = []

        def read():
            got = b""
            while text not in got:
                got += os.read(self.reading, 65536)
            found.append(got.decode())
        threading.Thread(target=read, daemon=True).start()
        wait_until(lambda: found, 20, f"{text} in the log")
        return found[0]


@pytest.fixture
def pipe():
    return Pipe()


def hold_up_batches(server, seconds):
    """A batch fails, which is logged, and is tried again."""
    with contextlib.closing(sqlite3.connect(server.data / "orders.db", isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        database.execute("ROLLBACK")


def test_a_log_that_nobody_reads_holds_up_neither_orders_nor_the_end(make_server, pipe):
    server = make_server().start(pipe.writing)
    stock_shelves(Client(server.url).login(*server.admin_credentials()))
    customer = Client(server.url).register()
    pipe.fill()
    holder = threading.Thread(target=hold_up_batches, args=(server, 7))
    holder.start()
    time.sleep(0.2)
    order = customer.place_order()
    holder.join()
    customer.wait_for_order(order["id"], status="PAID")
    customer.wait_for_order(customer.place_order()["id"], status="PAID")
    assert "log_lines_dropped_total" in "".join(samples(customer.get("/metrics").text))
    assert "will be tried again" in pipe.read_until(b"will be tried again")
    pipe.fill()
    assert server.stop() < 5


@pytest.mark.parametrize("program", [QUITTANCE, ORDER_SERVICE, PAYMENT_SERVICE], ids=lambda program: program.name)
@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_program_started_without_standard_descriptors_has_dev_null_in_their_place(
        make_server, tmp_path, program, closed):
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", program]
    environment = {"GOOGLE_CLOUD_PROJECT": "shop", "PUBSUB_EMULATOR_HOST": "127.0.0.1:1",
                   "JWKS_URL": "http://127.0.0.1:1/"}
    if program == QUITTANCE:
        command.append("serve")
    server = make_server(environment=environment, command=command, demo=False).spawn()
    database = "payments.db" if program == PAYMENT_SERVICE else "orders.db"
    descriptors = pathlib.Path(f"/proc/{server.process.pid}/fd")

    def opened():
        links = {}
        for link in descriptors.iterdir():
            with contextlib.suppress(OSError):
                links[int(link.name)] = os.readlink(link)
        return links if any(target.endswith(database) for target in links.values()) else None
    links = wait_until(opened, 30, "the database to be open")
    for descriptor in (number for number in (0, 1, 2) if str(number) in closed):
        assert links[descriptor] == "/dev/null", links
    server.kill()


# Threads and the port

def test_every_thread_has_a_name(make_server):
    server = make_server().start()

    def names():
        return {(task / "comm").read_text().strip()
                for task in pathlib.Path(f"/proc/{server.process.pid}/task").iterdir()
                if task.name != str(server.process.pid)}
    expected = {"q-http-0", "q-bus", "q-ticker", "q-log", "q-hash-0", "q-db-orders-w", "q-db-orders-r",
                "q-db-payments-w", "q-db-payments-r"}
    # A thread has its program's name until it runs for the first time.
    wait_until(lambda: expected <= names() and "quittance" not in names(), 10, f"{expected} among {names()}")
    assert all(name.startswith("q-") for name in names() - {"jemalloc_bg_thd"}), names()


def test_a_program_whose_port_is_taken_handles_no_message(make_server):
    server = make_server().start()
    stock_shelves(Client(server.url).login(*server.admin_credentials()))
    customer = Client(server.url).register()
    with contextlib.closing(sqlite3.connect(server.data / "payments.db", isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        customer.place_order()
        server.kill()
    assert server.query("orders.db", "SELECT COUNT(*) FROM outbox") == [(1,)]
    with socket.create_server(("127.0.0.1", server.port)):
        for _ in range(10):
            server.spawn()
            assert server.process.wait(30) == 2
    assert "is taken" in server.log()
    assert server.query("orders.db", "SELECT COUNT(*) FROM outbox") == [(1,)]
    assert server.query("payments.db", "SELECT COUNT(*) FROM payments") == [(0,)]
    server.start()
    wait_until(lambda: server.query("payments.db", "SELECT COUNT(*) FROM payments") == [(1,)], 20, "the payment")


# Secrets and addresses

STRIPE = {"PAYMENT_GATEWAY": "stripe", "STRIPE_API_BASE": "http://127.0.0.1:1", "STRIPE_API_KEY": "sk_test_1",
          "STRIPE_WEBHOOK_SECRET": "whsec_1"}


def refused(*arguments, environment=None, program=QUITTANCE):
    """What a program says that is set up wrongly."""
    ended = run_quittance(*arguments, environment=environment, program=program)
    assert ended.returncode == 2, ended.stderr + ended.stdout
    assert HIDDEN not in ended.stderr + ended.stdout and "hunter2" not in ended.stderr + ended.stdout
    return ended.stderr


@pytest.mark.parametrize("variable", ["STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET"])
@pytest.mark.parametrize("value", [" ", HIDDEN + " ", HIDDEN + "\n\n", "\t" + HIDDEN])
def test_a_secret_with_white_space_at_its_ends_is_refused_by_its_name(tmp_path, variable, value):
    (tmp_path / "data").mkdir()
    said = refused("serve", "--port", 0, "--data", tmp_path / "data", environment={**STRIPE, variable: value})
    assert variable in said and "printf" in said


def test_a_secret_that_is_only_a_line_break_is_missing(tmp_path):
    environment = {**STRIPE, "STRIPE_WEBHOOK_SECRET": "\n"}
    assert "STRIPE_WEBHOOK_SECRET is missing" in refused("serve", "--port", 0, "--data", tmp_path / "data",
                                                        environment=environment)


def test_the_line_break_that_echo_adds_to_a_secret_is_cut(make_server):
    make_server(environment={name: value + "\n" if name.endswith(("KEY", "SECRET")) else value
                             for name, value in STRIPE.items()}).start()


@pytest.mark.parametrize("engine", ["postgresql", "mysql"])
def test_the_line_break_that_echo_adds_to_a_databases_password_is_cut(database_server, tmp_path, engine):
    server = database_server(engine)
    urls = server.make_shop("echoed")
    (tmp_path / "data").mkdir()
    parts = {**server.parts_for_socket(), "DB_PASSWORD": PASSWORD + "\n", "DB_NAME": "echoed_orders",
             "PAYMENTS_DB_NAME": "echoed_payments"}
    for environment in (parts, {name: url + "\n" for name, url in urls.items()}):
        done = run_quittance("migrate", "--data", tmp_path / "data", environment=environment)
        assert done.returncode == 0, done.stderr
    said = refused("migrate", environment={**parts, "DB_PASSWORD": HIDDEN + " "})
    assert "DB_PASSWORD" in said and "printf" in said


@pytest.mark.parametrize("url, said", [
    (f"postgresql://shop:{HIDDEN}@db/orders?pgbouncer=true", ['"pgbouncer"', "sslmode", "channel_binding"]),
    (f"mysql://shop:{HIDDEN}@db/orders?ssl-mode=REQUIRED", ['"ssl-mode"', "sslca"]),
    (f"jdbc:postgresql://shop:{HIDDEN}@db/orders", ["postgresql://"]),
    (f"postgres://shop:{HIDDEN}@db:0/orders", ["port"]),
    (f"postgres://shop:{HIDDEN}@::1/orders", ["square brackets"]),
    (f"postgres://shop:{HIDDEN}/{HIDDEN}@db/orders", ["%2F"]),
    (f"postgres://shop:{HIDDEN}@db/orders ", ["white space", "printf"]),
    (f"postgres://shop:{HIDDEN}@127.0.0.1:1/orders", ["cannot be opened", "postgresql://shop@127.0.0.1:1/orders"]),
], ids=["parameter", "parameter of MySQL", "scheme", "port", "IPv6", "slash", "blank", "nobody listens"])
def test_no_message_about_an_address_shows_its_password(tmp_path, url, said):
    message = refused("serve", "--port", 0, "--data", tmp_path / "data", environment={
        "DATABASE_URL": url, "PAYMENTS_DATABASE_URL": f"sqlite:{tmp_path}/payments.db"})
    assert all(part in message for part in said), message
    assert "DATABASE_URL" in message or "cannot be opened" in message


@pytest.mark.parametrize("environment, said", [
    ({"PORT": "abc"}, ['PORT (--port) is "abc"', "whole number from 0 to 65535", "PORT=8080"]),
    ({"PORT": "99999"}, ['PORT (--port) is "99999"', "whole number from 0 to 65535"]),
    ({"BUS": "kafka"}, ['BUS (--bus) is "kafka"', "one of embedded, pubsub", "BUS=embedded"]),
    ({"LOG_LEVEL": "loud"}, ['LOG_LEVEL (--log-level) is "loud"', "warning", "LOG_LEVEL=info"]),
    ({"STRIPE_RATE": "fast"}, ['STRIPE_RATE (--stripe-rate) is "fast"', "from 0.1 to 10000", "STRIPE_RATE=25"]),
    ({"LISTEN_HOST": "127.0.0.1\n"}, [r'LISTEN_HOST (--host) is "127.0.0.1\n"', "white space"]),
    ({"BUS": "pubsub", "GOOGLE_CLOUD_PROJECT": "shop\n"}, ['GOOGLE_CLOUD_PROJECT', r'"shop\n"']),
    ({"BUS": "pubsub", "GOOGLE_CLOUD_PROJECT": "my shop"}, ['GOOGLE_CLOUD_PROJECT', "my-shop-123"]),
    ({"BUS": "pubsub", "GOOGLE_CLOUD_PROJECT": "shop", "PUBSUB_EMULATOR_HOST": "http://localhost:8085"},
     ['PUBSUB_EMULATOR_HOST is "http://localhost:8085"', "PUBSUB_EMULATOR_HOST=127.0.0.1:8085"]),
    ({"BUS": "pubsub", "GOOGLE_CLOUD_PROJECT": "shop", "PUBSUB_EMULATOR_HOST": " "}, ["PUBSUB_EMULATOR_HOST"]),
    ({"BUS": "pubsub", "GOOGLE_CLOUD_PROJECT": "shop", "PUBSUB_EMULATOR_HOST": "localhost"},
     ["PUBSUB_EMULATOR_HOST"]),
    ({"DB_ENGINE": "oracle", "DB_USER": "shop"}, ['DB_ENGINE (--db-engine) is "oracle"', "postgresql or mysql"]),
], ids=lambda value: " ".join(value) if isinstance(value, dict) else "")
def test_a_wrong_setting_is_named_with_its_value_what_is_wanted_and_an_example(tmp_path, environment, said):
    message = refused("serve", "--data", tmp_path / "data", environment=environment)
    assert all(part in message for part in said), message


def test_hosts_are_taken_as_people_write_them(tmp_path):
    # Nobody listens there; what is tried is said.
    for host, label in (("::1", "[::1]:5432"), ("[::1]:1", "[::1]:1"), ("127.0.0.1:1,127.0.0.1:2", "127.0.0.1:1,127")):
        message = refused("migrate", environment={
            "DB_USER": "shop", "DB_PASSWORD": HIDDEN, "DB_NAME": "orders", "PAYMENTS_DB_NAME": "payments",
            "DB_HOST": host})
        assert label in message and "cannot be opened" in message


# Poolers and encodings

def test_a_shop_works_behind_pgbouncer_in_session_mode(database_server, make_server):
    server = database_server("postgresql")
    server.make_shop("pooled")
    pooler = PgBouncer(server, "session")
    try:
        shop = make_server(environment=pooler.environment("pooled")).start()
        stock_shelves(Client(shop.url).login(*shop.admin_credentials()))
        customer = Client(shop.url).register()
        customer.wait_for_order(customer.place_order()["id"], status="PAID")
        assert run_quittance("ledger", "verify", environment=pooler.environment("pooled")).returncode == 0
        shop.stop()
        # The same connections to the server, for other clients.
        shop.start()
        customer.wait_for_order(customer.place_order()["id"], status="PAID")
        shop.stop()
    finally:
        pooler.stop()


@pytest.mark.parametrize("settings", [{"pool_mode": "transaction"}, {"pool_mode": "statement"},
                                      {"pool_mode": "transaction", "default_pool_size": 1},
                                      {"pool_mode": "transaction", "server_round_robin": 1, "min_pool_size": 5}],
                         ids=["transaction", "statement", "one connection", "in turn"])
def test_pgbouncer_in_another_mode_is_refused_and_nothing_is_left_behind(database_server, tmp_path, settings):
    server = database_server("postgresql")
    if not server.sql("SELECT 1 FROM pg_database WHERE datname = 'transactions_orders'"):
        server.make_shop("transactions")
    pooler = PgBouncer(server, **settings)
    try:
        for _ in range(3):
            said = refused("serve", "--port", 0, "--data", tmp_path / "data",
                           environment=pooler.environment("transactions"))
            assert "pool_mode = session" in said
        assert server.sql("SELECT count(*) FROM pg_class WHERE relname = 'orders'", "transactions_orders") == [["0"]]
    finally:
        pooler.stop()


@pytest.mark.parametrize("engine, encoding", [("postgresql", "LATIN1"), ("postgresql", "SQL_ASCII"),
                                              ("mysql", "latin1"), ("mysql", "utf8mb3")])
def test_a_database_that_is_not_utf8_is_refused_with_what_makes_one_that_is(
        database_server, tmp_path, engine, encoding):
    server, name = database_server(engine), f"old_{encoding.lower()}"
    server.make_database(name, encoding)
    message = refused("serve", "--port", 0, "--data", tmp_path / "data", environment={
        "DATABASE_URL": server.url("elsewhere"), "PAYMENTS_DATABASE_URL": server.url(name)})
    assert encoding in message and f"CREATE DATABASE {name} " in message
    assert server.sql("SELECT COUNT(*) FROM information_schema.tables WHERE table_name = 'schema_migrations'"
                      + (f" AND table_schema = '{name}'" if engine == "mysql" else ""), name) == [["0"]]


# The command line

COMMANDS = [["dead-letters", "list"], ["dead-letters", "show", "some-id"], ["dead-letters", "replay", "some-id"],
            ["ledger", "verify"], ["payments", "stuck"],
            ["payments", "retry", "01890a5d-ac96-774b-bcce-b302099a8057"],
            ["user", "create", "--email", "eve@example.com", "--role", "ADMIN"]]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_makes_nothing_where_there_is_no_shop(tmp_path, command):
    for folder in (tmp_path / "empty", tmp_path / "missing"):
        if folder.name == "empty":
            folder.mkdir()
        before = folder.exists()
        said = refused(*command, "--data", folder)
        assert f"no shop in {folder}" in said
        assert folder.exists() == before and (not before or not list(folder.iterdir()))


@pytest.mark.parametrize("engine", ["postgresql", "mysql"])
def test_a_command_makes_no_table_where_there_is_no_shop(database_server, engine):
    server = database_server(engine)
    environment = server.make_shop("no_shop")
    for command in COMMANDS:
        assert "no shop in the database" in refused(*command, environment=environment)
    assert server.sql("SELECT COUNT(*) FROM information_schema.tables WHERE table_name = 'schema_migrations'"
                      + (" AND table_schema = 'no_shop_orders'" if engine == "mysql" else ""),
                      "no_shop_orders") == [["0"]]


def test_migrate_makes_databases_in_a_folder_that_is_there_and_no_folder(tmp_path):
    assert "there is no folder" in refused("migrate", "--data", tmp_path / "missing")
    assert not (tmp_path / "missing").exists()
    (tmp_path / "data").mkdir()
    assert run_quittance("migrate", "--data", tmp_path / "data").returncode == 0
    assert {file.name for file in (tmp_path / "data").iterdir()} == {"orders.db", "payments.db"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root acts for others")
def test_what_root_makes_in_the_folder_of_a_service_belongs_to_the_service():
    with tempfile.TemporaryDirectory(prefix="quittance-owner-") as folder:
        pathlib.Path(folder).chmod(0o755)
        data = pathlib.Path(folder) / "data"
        data.mkdir(mode=0o700)
        shutil.chown(data, "nobody", "nogroup")
        assert run_quittance("migrate", "--data", data).returncode == 0
        created = run_quittance("user", "create", "--email", "eve@example.com", "--role", "ADMIN", "--data", data)
        assert created.returncode == 0, created.stderr
        assert {file.owner() for file in data.iterdir()} == {"nobody"}


def test_the_line_break_of_windows_is_no_part_of_a_password(make_server):
    server = make_server().start()
    created = run_quittance("user", "create", "--email", "eve@example.com", "--role", "ADMIN", "--data", server.data,
                            stdin="three blue kettles\r\n")
    assert created.returncode == 0, created.stderr
    Client(server.url).login("eve@example.com", "three blue kettles")
