"""Our programs on PostgreSQL, MariaDB and MySQL: away and back, and what they say when they cannot start."""

import json
import time

import pytest
import requests

from client import Client, expect_problem, item, order_body
from databases import PASSWORD
from metrics import metrics_of
from server import LoadDriver, run_quittance
from services import make_services
from waiting import wait_until

ENGINES = ["postgresql", "mariadb", "mysql"]
AWAY_SECONDS = 10
SETTLE_SECONDS = 60
# Each has one order under way; the emulator becomes slower with each order that it has seen.
CLIENTS = {"embedded": 16, "pubsub": 4}


def expect_no_attempts_used(payments):
    """Events that the outage met, as it does in most runs, were tried again without being given back: each delivery
    is one of a few."""
    assert metrics_of(payments)["payment_events_returned_total"] == 0


@pytest.mark.parametrize("engine, bus", [("postgresql", "embedded"), ("mariadb", "embedded"), ("mysql", "embedded"),
                                         ("postgresql", "pubsub")])
def test_a_database_that_goes_away_under_load_and_comes_back(engine, bus, database_server, make_server, request,
                                                             tmp_path):
    database, name = database_server(engine), f"outage_{bus}"
    urls = database.make_shop(name)
    environment = urls
    if bus == "pubsub":
        project = request.getfixturevalue("emulator").new_project("outage")
        environment = {**urls, **project}
        server, payments = servers = make_services(make_server, project, urls)
    else:
        server = payments = make_server(environment=urls)
        servers = [server]
    for each in servers:
        each.start()
    ids_file = tmp_path / "ids"
    load = LoadDriver(tmp_path, "--url", server.url, "--clients", CLIENTS[bus], "--users", 4, "--seconds", 600,
                      "--tolerate-disconnects", "--ids-file", ids_file)
    wait_until(lambda: ids_file.exists() and ids_file.stat().st_size > 0, 20, "the first order")
    customer = Client(server.url).register("Ada Byron")
    time.sleep(2)

    if engine == "mysql":
        database.crash()
    else:
        database.stop()
    begin = time.monotonic()
    answer = customer.post("/orders", order_body())
    expect_problem(answer, 503)
    assert int(answer.headers["Retry-After"]) > 0
    assert time.monotonic() - begin < 15
    for each in servers:
        wait_until(lambda each=each: not each.is_ready(), 30, "the server to say that it is not ready")
        reasons = requests.get(f"{each.url}/health/ready", timeout=5).json()["reasons"]
        assert "database" in " ".join(reasons)
    time.sleep(AWAY_SECONDS)
    database.start()
    for each in servers:
        wait_until(each.is_ready, 60, "the server to be ready again")
    # One connection is back; the others follow within moments.
    wait_until(lambda: customer.post("/orders", order_body(item("ceramic-mug"))).status_code == 201, 30,
               "an order to be accepted")
    time.sleep(2)

    report = load.stop()
    assert report["unresolved"] == 0
    ids = set(ids_file.read_text().split())
    unsettled = "SELECT COUNT(*) FROM orders WHERE status <> 'PAID'"
    wait_until(lambda: database.sql(unsettled, f"{name}_orders") == [["0"]], SETTLE_SECONDS,
               "every order to be PAID")
    stored = {row[0] for row in database.sql("SELECT id FROM orders", f"{name}_orders")}
    assert ids <= stored, f"lost: {sorted(ids - stored)[:10]}"
    charges = database.sql("SELECT order_id, captured_amount FROM payments WHERE captured_amount > 0",
                           f"{name}_payments")
    assert len(charges) == len(dict(charges)) == len(stored), "an order was not charged exactly once"
    expect_no_attempts_used(payments)
    listed = run_quittance("dead-letters", "list", environment=environment)
    assert (listed.returncode, listed.stdout) == (0, ""), listed.stderr
    for each in servers:
        assert each.is_running()
        assert PASSWORD not in each.log()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_database_that_hangs_is_noticed_and_does_not_hold_up_a_stop(engine, database_server, make_server):
    database = database_server(engine)
    server = make_server(environment=database.make_shop("frozen"))
    server.start()
    customer = Client(server.url).register("Ada Byron")
    order = customer.place_order(item("ceramic-mug"))
    database.freeze()
    try:
        wait_until(lambda: not server.is_ready(), 10, "the server to say that it is not ready")
        reasons = requests.get(f"{server.url}/health/ready", timeout=5).json()["reasons"]
        assert "database" in " ".join(reasons)
        if engine == "postgresql":  # Whose client library would wait for ever.
            answer = customer.post("/orders", order_body(item("ceramic-mug")))
            expect_problem(answer, 503)
            assert int(answer.headers["Retry-After"]) > 0
        begin = time.monotonic()
        server.process.terminate()
        code = server.process.wait(10)
        print(f"ended with {code} after {time.monotonic() - begin:.1f} s")
    finally:
        database.thaw()
    assert code == 1 and "did not stop in time" in server.log()
    server.start()
    # What the one that was ended had in hand is taken over when its lease is over.
    customer.wait_for_order(order["id"], seconds=30, status="PAID")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_start_that_fails_says_what_is_missing(engine, database_server, tmp_path):
    database = database_server(engine)
    good = database.make_shop("start")
    for urls, words in [
            ((database.url("nowhere"), good["PAYMENTS_DATABASE_URL"]), ["nowhere", "CREATE DATABASE"]),
            ((database.url("start_orders", "wrong-password"), good["PAYMENTS_DATABASE_URL"]), ["tester"]),
            ((good["DATABASE_URL"], good["DATABASE_URL"]), ["a database each"]),
            ((good["DATABASE_URL"], ""), ["PAYMENTS_DATABASE_URL is missing"])]:
        arguments = ["--database-url", urls[0]] + (["--payments-database-url", urls[1]] if urls[1] else [])
        ended = run_quittance("serve", "--data", tmp_path, "--port", 0, *arguments)
        assert ended.returncode == 2, ended.stderr
        for word in words:
            assert word in ended.stderr
        for secret in (PASSWORD, "wrong-password"):
            assert secret not in ended.stderr


@pytest.mark.parametrize("engine", ENGINES)
def test_too_few_connections_for_all_instances_are_warned_of(engine, database_server, make_server):
    urls = database_server(engine).make_shop("crowd")
    few = make_server("few", urls).start()
    few.stop()
    assert "max_connections" not in few.log()
    many = make_server("many", {**urls, "INSTANCES": "1000"}).start()
    warnings = [json.loads(line) for line in many.log().splitlines() if "max_connections" in line]
    assert {(each["severity"], each["instances"], each["pool_size"]) for each in warnings} == {("WARNING", 1000, 4)}
    assert {each["database"] for each in warnings} == {
        url.replace(f":{PASSWORD}", "") for url in urls.values()}
