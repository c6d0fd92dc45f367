"""What an operator does: start, stop, start wrongly, look at logs and metrics."""

import contextlib
import json
import os
import pty
import re
import signal
import socket
import subprocess
import time

import pytest

from client import MUG, PASSWORD, Client, expect, expect_problem, order_body, stock_shelves
from metrics import samples
from server import ORDER_SERVICE, QUITTANCE, LoadDriver, free_port, run_quittance
from waiting import wait_until


# Stopping

def test_a_stop_under_load_loses_nothing(make_server, tmp_path):
    server = make_server()
    server.start()
    ids_file = tmp_path / "ids"
    load = LoadDriver(tmp_path, "--url", server.url, "--clients", 32, "--seconds", 600,
                      "--tolerate-disconnects", "--ids-file", ids_file)
    wait_until(lambda: ids_file.exists() and ids_file.stat().st_size > 0, 20, "the first order")
    seconds = []
    for _ in range(3):
        time.sleep(0.5)
        seconds.append(server.stop())
        server.start()
    report = load.stop()
    print("measured: stopped under load within", ", ".join(f"{value:.2f} s" for value in seconds))
    assert report["unresolved"] == 0
    # A request that was begun is answered: no answer is ever lost to a stop in good order.
    assert report["replayed"] == 0
    admin = Client(server.url).login(*server.admin_credentials())
    ids = set(ids_file.read_text().split())

    def all_paid():
        return all(order["status"] == "PAID" for order in admin.all_pages("/orders?limit=100"))
    wait_until(all_paid, 30, "every order to be PAID")
    assert {order["id"] for order in admin.all_pages("/orders?limit=100")} == ids


def read_all(connection):
    received = b""
    while part := connection.recv(4096):
        received += part
    return received


def test_a_request_in_flight_is_finished(make_server):
    server = make_server()
    server.start()
    stock_shelves(Client(server.url).login(*server.admin_credentials()))
    customer = Client(server.url).register()
    body = json.dumps(order_body()).encode()
    head = (f"POST /orders HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {customer.token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        # Answered once, so that it is known to be accepted.
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: shop\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
        connection.sendall(head + body[:10])
        time.sleep(0.2)
        server.process.terminate()
        time.sleep(0.3)
        connection.sendall(body[10:])
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 201 "), answer
    assert b"connection: close" in answer.lower()
    assert server.process.wait(10) == 0
    order_id = re.search(rb"/orders/([0-9a-f-]{36})", answer).group(1).decode()
    server.start()
    customer.wait_for_order(order_id, status="PAID")


def test_a_person_at_the_terminal_stops_it_in_good_order_too(make_server):
    server = make_server()
    server.start()
    stock_shelves(Client(server.url).login(*server.admin_credentials()))
    customer = Client(server.url).register()
    order = customer.place_order()
    server.stop(by=signal.SIGINT)
    assert json.loads(server.log().splitlines()[-1])["message"] == "stopped"
    server.start()
    customer.wait_for_order(order["id"], status="PAID")


def test_on_a_terminal_the_log_is_for_people(tmp_path):
    screen, terminal = pty.openpty()
    with subprocess.Popen([QUITTANCE, "serve", "--data", tmp_path / "data", "--port", str(free_port())],
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=terminal) as process:
        os.close(terminal)
        with os.fdopen(screen, buffering=1, errors="replace") as lines:
            line = next(line for line in lines if " ready " in line)
            process.terminate()
            assert process.wait(10) == 0
    assert not line.startswith("{") and "port=" in line


def test_a_silent_connection_does_not_hold_up_a_stop(make_server):
    server = make_server()
    server.start()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as half:
            half.sendall(b"POST /orders HTTP/1.1\r\nHost: shop\r\nContent-Length: 10\r\n\r\n{")
            time.sleep(0.1)
            server.stop()


def test_a_restart_keeps_users_tokens_and_orders(make_server):
    server = make_server()
    server.start()
    stock_shelves(Client(server.url).login(*server.admin_credentials()))
    customer = Client(server.url).register()
    order = customer.paid_order()
    keys = customer.get("/.well-known/jwks.json").json()
    output = server.output()
    server.stop()
    server.start()
    assert server.output() == output, "the admin was printed again"
    assert customer.get("/.well-known/jwks.json").json() == keys
    assert customer.order(order["id"]) == order
    expect(customer.post("/users/refresh", {"refreshToken": customer.refresh_token}), 200)
    customer.login(customer.email)
    assert customer.get("/products/test-mug").json() == {"id": "test-mug", **MUG}


# Connections

def test_the_systems_usual_limit_of_open_files_does_not_limit_connections(make_server):
    server = make_server(command=["prlimit", "--nofile=64:4096", QUITTANCE, "serve"]).start()
    with contextlib.ExitStack() as opened:
        for _ in range(300):
            opened.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10))
        assert server.is_ready()
    assert "must wait" not in server.log()


def test_clients_cannot_take_the_files_that_the_program_needs_itself(make_server):
    server = make_server(command=["prlimit", "--nofile=64:64", QUITTANCE, "serve"]).start()
    stock_shelves(Client(server.url).login(*server.admin_credentials()))
    customer = Client(server.url).register()
    customer.get("/users/me")
    with contextlib.ExitStack() as opened:
        for _ in range(100):
            opened.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10))
        wait_until(lambda: "as many connections as allowed" in server.log(), 5, "the limit to be reached")
        # The customer's connection was there before.
        order = customer.place_order()
        customer.wait_for_order(order["id"], status="PAID")


# Starting wrongly: each message says what is wrong and what to do

def refused(*arguments):
    """The message of a start that must fail."""
    result = run_quittance(*arguments)
    assert result.returncode != 0, f"{arguments} succeeded: {result.stdout}"
    assert "terminate called" not in result.stderr
    return result.stderr + result.stdout


def test_a_second_server_on_the_same_folder_is_refused(shop):
    message = refused("serve", "--data", shop.data, "--port", 0)
    assert str(shop.data) in message and "another" in message
    assert shop.is_ready()


def test_a_port_that_is_taken_is_refused(shop, tmp_path):
    message = refused("serve", "--data", tmp_path / "other", "--port", shop.port)
    assert str(shop.port) in message and "is taken" in message and "another PORT" in message
    assert shop.is_ready()


@pytest.mark.parametrize("arguments, said", [
    (["serve", "--colour", "red"], "--colour"), (["serve", "--port", "many"], "--port"),
    (["serve", "--port", "99999"], "--port"), (["user", "create"], "--email"),
    (["user", "create", "--email", "a@example.com", "--role", "KING"], "KING"),
    (["serve", "--log-level", "loud"], "loud"),
], ids=["unknown flag", "port no number", "port too large", "missing flag", "unknown role",
        "unknown log level"])
def test_a_wrong_command_line_is_refused(tmp_path, arguments, said):
    assert said in refused(*arguments, "--data", tmp_path / "data")
    assert not (tmp_path / "data" / "orders.db").exists()


def test_an_unknown_command_is_refused():
    assert "--help" in refused("sell")


def test_the_version_and_the_help():
    version = run_quittance("--version")
    assert version.returncode == 0 and re.search(r"\d+\.\d+\.\d+", version.stdout)
    for arguments in (["--help"], ["serve", "--help"], ["user", "create", "--help"]):
        shown = run_quittance(*arguments)
        assert shown.returncode == 0 and "--help" in shown.stdout


def test_a_data_folder_that_cannot_be_made_is_refused(tmp_path):
    file = tmp_path / "a-file"
    file.write_text("not a folder")
    for folder in (file, file / "below"):
        message = refused("serve", "--data", folder, "--port", 0)
        assert str(folder) in message and "--data" in message


def test_a_broken_signing_key_is_refused(make_server):
    server = make_server()
    server.start().stop()
    key = server.signing_key_file()
    key.write_text("-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n")
    message = refused("serve", "--data", server.data, "--port", 0)
    assert str(key) in message
    assert key.read_text().count("nonsense") == 1, "the broken key was replaced in silence"


@pytest.mark.parametrize("environment", [
    {"DATABASE_URL": "postgresql://shop@127.0.0.1:1/orders"}, {"K_SERVICE": "orders"}], ids=["server", "Cloud Run"])
def test_an_order_service_of_many_makes_no_signing_key_of_its_own(tmp_path, environment):
    environment = {**environment, "GOOGLE_CLOUD_PROJECT": "shop", "PUBSUB_EMULATOR_HOST": "127.0.0.1:1"}
    ended = run_quittance("--data", tmp_path / "data", "--port", 0, environment=environment, program=ORDER_SERVICE)
    assert ended.returncode == 2
    assert "JWT_SIGNING_KEY_FILE is missing" in ended.stderr and "openssl genpkey" in ended.stderr
    assert not (tmp_path / "data").exists()


def test_a_database_password_is_not_forgotten(tmp_path):
    arguments = ["serve", "--data", tmp_path / "data", "--port", 0, "--db-user", "shop", "--db-host", "127.0.0.1:1",
                 "--db-name", "orders", "--payments-db-name", "payments"]
    ended = run_quittance(*arguments)
    assert ended.returncode == 2 and "DB_PASSWORD is missing" in ended.stderr
    empty = run_quittance(*arguments, environment={"DB_PASSWORD": ""})
    assert empty.returncode == 2 and "cannot be opened" in empty.stderr, "an empty one is a choice"


@pytest.mark.parametrize("command", [["ledger", "verify"], ["payments", "stuck"], ["dead-letters", "list"]],
                         ids=" ".join)
def test_a_flag_wins_over_the_environment(shop, command):
    elsewhere = {"DATABASE_URL": "sqlite:/nowhere/orders.db", "PAYMENTS_DATABASE_URL": "sqlite:/nowhere/payments.db"}
    flags = ["--database-url", f"sqlite:{shop.data / 'orders.db'}",
             "--payments-database-url", f"sqlite:{shop.data / 'payments.db'}"]
    ended = run_quittance(*command, *flags, environment=elsewhere)
    assert ended.returncode == 0, ended.stderr


def test_a_database_that_is_none_is_refused(make_server):
    server = make_server()
    server.start().stop()
    for file in server.data.glob("orders.db*"):
        file.unlink()
    (server.data / "orders.db").write_text("this is not a database, " * 500)
    assert "not a database" in refused("serve", "--data", server.data, "--port", 0)


@pytest.mark.parametrize("database", ["orders.db", "payments.db"])
def test_a_database_of_a_newer_program_is_refused(make_server, database):
    server = make_server()
    server.start().stop()
    server.change(database, "INSERT INTO schema_migrations (version, name, applied_at) VALUES (99, 'of_tomorrow', 0)")
    for command in (["serve", "--port", 0], ["migrate"], ["dead-letters", "list"]):
        ended = run_quittance(*command, "--data", server.data)
        assert ended.returncode == 2
        assert re.search(r"schema version 99, newer than this program's \d+: start the newer program", ended.stderr)


def test_the_signing_key_and_the_data_are_for_their_owner_only(shop):
    assert shop.signing_key_file().stat().st_mode & 0o077 == 0
    assert shop.data.stat().st_mode & 0o077 == 0


# Logs

@pytest.fixture(scope="module")
def used_shop(shop, admin, customer):
    """A server that has seen all sorts of requests."""
    customer.paid_order()
    customer.post("/users/refresh", {"refreshToken": customer.refresh_token})
    customer.post("/users/login", {"email": customer.email, "password": "a wrong password"})
    customer.request("POST", "/orders", body="{")
    customer.get("/nowhere")
    return shop


def test_logs_are_one_json_object_a_line(used_shop):
    lines = used_shop.log().splitlines()
    assert lines
    for line in lines:
        entry = json.loads(line)
        assert entry["severity"] in ("DEBUG", "INFO", "WARNING", "ERROR"), line
        assert re.match(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$", entry["time"]), line
        assert entry["message"], line


def test_no_secret_is_ever_logged_or_printed(make_server):
    server = make_server(environment={"LOG_LEVEL": "debug"})
    server.start()
    email, admin_password = server.admin_credentials()
    admin = Client(server.url).login(email, admin_password)
    stock_shelves(admin)
    customer = Client(server.url).register()
    tokens = expect(customer.post("/users/refresh", {"refreshToken": customer.refresh_token}), 200).json()
    customer.paid_order()
    wrong = "a wrong password of mine"
    expect_problem(customer.post("/users/login", {"email": customer.email, "password": wrong}), 401)
    expect_problem(customer.get("/orders", token=tokens["token"] + "x"), 401)
    customer.get(f"/orders?token={tokens['token']}")
    server.stop()
    secrets = {"password": PASSWORD, "wrong password": wrong, "admin's password": admin_password,
               "token": customer.token, "token's signature": customer.token.rsplit(".", 1)[1],
               "new token": tokens["token"], "refresh token": customer.refresh_token,
               "new refresh token": tokens["refreshToken"], "admin's token": admin.token,
               "signing key": server.signing_key_file().read_text().splitlines()[1]}
    logged = [name for name, secret in secrets.items() if secret in server.log()]
    assert logged == []
    printed = [name for name, secret in secrets.items() if secret in server.output()]
    assert printed == ["admin's password"]
    stored = b"".join(file.read_bytes() for file in server.data.iterdir() if ".db" in file.name)
    kept = [name for name, secret in secrets.items() if secret.encode() in stored]
    assert kept == [], "secrets in clear in the databases"


# Metrics

def test_metrics_count_requests_and_the_outbox(used_shop, visitor):
    answer = expect(visitor.get("/metrics"), 200)
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    found = samples(answer.text)
    requests = {name: value for name, value in found.items() if name.startswith("http_requests_total{")}
    assert sum(value for name, value in requests.items() if "201" in name) >= 1
    assert sum(value for name, value in requests.items() if "404" in name) >= 1
    assert any("outbox" in name for name in found), sorted(found)


def test_metrics_do_not_grow_with_what_strangers_send(used_shop, visitor):
    visitor.get("/nowhere/0")
    before = len(samples(visitor.get("/metrics").text))
    for number in range(1, 30):
        visitor.get(f"/nowhere/{number}")
        visitor.get(f"/orders/{number}")
        visitor.request(f"BREW{number}", "/orders")
    visitor.get("/metrics")
    assert len(samples(visitor.get("/metrics").text)) <= before + 10


def test_a_request_id_is_kept_or_made(visitor):
    def request_id_for(headers=None):
        return visitor.get("/health/live", headers=headers).headers["X-Request-Id"]
    assert request_id_for({"X-Request-Id": "my-own.1"}) == "my-own.1"
    first, second = request_id_for(), request_id_for()
    assert first and first != second
    assert "<" not in request_id_for({"X-Request-Id": "a b<script>"})
