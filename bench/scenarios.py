"""The scenarios. Each plays on a fresh stage and returns its figures; one that loses an order fails."""

import dataclasses
import itertools
import statistics
import time
import uuid

from stage import Stage, limit, memory_megabytes

CLIENTS = 128
RAW_ORDERS = 200_000
READ_ORDERS = 20_000
TARGET_RATE = 1000


def raw_database(_plan):
    """The rows of POST /orders through the same statements, from two connections, nothing else running."""
    with Stage() as stage:
        server = stage.postgresql()
        server.make_shop("raw")
        return limit("database", "--url", server.url("raw_orders"), "--orders", RAW_ORDERS)


def raw_bus(_plan):
    return limit("bus")


def _echo(plan, write_lines, *arguments):
    """The same requests as an order-service gets, to the HTTP server alone."""
    with Stage() as stage:
        stage.all_in_one()
        stage.fill()
        stage.orders.stop()
        return stage.wrk(stage.echo(), "orders.lua", stage.tokens_file(), write_lines(stage), *arguments,
                         connections=CLIENTS, seconds=plan.seconds)


def echo_post(plan):
    return _echo(plan, lambda stage: stage.bodies_file())


def echo_get(plan):
    return _echo(plan, lambda stage: stage.reads_file((customer, uuid.uuid4()) for number, customer in
                                                      zip(range(READ_ORDERS), itertools.cycle(stage.customers))),
                 "get")


def post_orders(plan):
    """Only accepting: the broker is frozen, so that what follows an order waits in the outbox."""
    with Stage() as stage:
        server = stage.postgresql()
        databases = server.make_shop("shop")
        emulator = stage.emulator()
        stage.order_service({**emulator.environment, "DATABASE_URL": databases["DATABASE_URL"]})
        stage.fill()
        emulator.freeze()
        before = int(server.sql("SELECT count(*) FROM orders", "shop_orders")[0][0])
        figures = stage.wrk(stage.orders.url, "orders.lua", stage.tokens_file(), stage.bodies_file(),
                            connections=CLIENTS, seconds=plan.seconds)
        emulator.thaw()
        stored = int(server.sql("SELECT count(*) FROM orders", "shop_orders")[0][0]) - before
        assert figures["errors"] == 0, figures
        # Those whose answer came after wrk had stopped are there as well.
        assert figures["requests"] <= stored <= figures["requests"] + CLIENTS, (stored, figures)
        return figures


def get_orders(plan):
    with Stage() as stage:
        server = stage.postgresql()
        stage.all_in_one(server.make_shop("shop"))
        stage.fill()
        stage.load("--clients", CLIENTS, "--seconds", 5, "--settle-seconds", 60)
        wanted = stage.reads_file(server.sql(f"SELECT user_id, id FROM orders ORDER BY id LIMIT {READ_ORDERS}",
                                             "shop_orders"))
        figures = stage.wrk(stage.orders.url, "orders.lua", stage.tokens_file(), wanted, "get",
                            connections=CLIENTS, seconds=plan.seconds)
        assert figures["errors"] == 0, figures
        return figures


def _carried(plan, prepare, rate=None, clients=CLIENTS, warm_up_seconds=0):
    """`warm_up_seconds` is for the emulator, which Java compiles while it works."""
    with Stage() as stage:
        prepare(stage)
        stage.fill()
        idle = {name: memory_megabytes(pid) for name, pid in stage.watched.items()}
        # At a fixed rate the service may refuse, when the disk hesitates; otherwise it has no reason to.
        arguments = ["--rate", rate, "--expect-busy"] if rate else []
        if warm_up_seconds:
            stage.load("--clients", clients, "--seconds", warm_up_seconds, "--settle-seconds", 60)
        report = stage.load("--clients", clients, "--seconds", plan.long_seconds, "--settle-seconds", 60,
                            *arguments)
        report["memoryIdle"] = idle
        report["memoryPeak"] = {name: memory_megabytes(pid, "VmHWM") for name, pid in stage.watched.items()}
        assert report["errors"] == report["unpaid"] == report["missing"] == 0, report
        assert report["paid"] == report["accepted"], report
        return report


def paid_sqlite(plan):
    return _carried(plan, lambda stage: stage.all_in_one())


def paid_postgresql(plan):
    return _carried(plan, lambda stage: stage.all_in_one(stage.postgresql().make_shop("shop")))


def paid_two_services(plan):
    return _carried(plan, lambda stage: stage.two_services(), warm_up_seconds=10)


def open_loop(rate):
    def play(plan):
        seconds = plan.long_seconds if rate == TARGET_RATE else plan.seconds
        return _carried(dataclasses.replace(plan, long_seconds=seconds),
                        lambda stage: stage.all_in_one(stage.postgresql().make_shop("shop")), rate, 512)
    return play


def overload(plan):
    """Three times what it carries, which a run before has found."""
    with Stage() as stage:
        stage.all_in_one(stage.postgresql().make_shop("shop"))
        stage.fill()
        carried = stage.load("--clients", CLIENTS, "--seconds", 10, "--settle-seconds", 60)["paidPerSecond"]
        report = stage.load("--clients", 2048, "--rate", round(3 * carried), "--expect-busy", "--seconds",
                            plan.long_seconds, "--settle-seconds", 120)
        report["carriedBefore"] = carried
        report["memoryPeak"] = {"quittance": memory_megabytes(stage.orders.process.pid, "VmHWM")}
        assert report["errors"] == report["unpaid"] == report["missing"] == 0, report
        return report


def many_stored(plan):
    """The same carrying, and pages of lists, with millions of orders in the tables."""
    with Stage() as stage:
        server = stage.postgresql()
        stage.all_in_one(server.make_shop("shop"))
        stage.fill()
        empty = stage.load("--clients", CLIENTS, "--seconds", plan.seconds, "--settle-seconds", 60)
        owner = str(uuid.uuid4())
        _store_orders(server, plan.stored_orders, owner)
        full = stage.load("--clients", CLIENTS, "--seconds", plan.seconds, "--settle-seconds", 60)
        assert full["errors"] == full["unpaid"] == full["missing"] == 0, full
        return {"stored": plan.stored_orders, "empty": empty["paidPerSecond"], "full": full["paidPerSecond"],
                "ratio": full["paidPerSecond"] / empty["paidPerSecond"], "pageMs": _page_times(stage, owner)}


def _store_orders(server, count, owner):
    """Half of them of one customer, so that there are deep pages."""
    server.sql(
        "INSERT INTO orders (id, user_id, status, payment_status, currency, total_amount, refunded_amount, items,"
        " payment_method, payment_attempt, payment_sequence, failure_code, failure_detail, version, created_at,"
        " updated_at, captured_amount) SELECT CAST(lpad(to_hex(i / 4096), 12, '0') || '7' || lpad(to_hex(i % 4096), 3, '0')"
        " || '8' || lpad(to_hex(i), 15, '0') AS uuid),"
        f" CASE WHEN i % 2 = 0 THEN CAST('{owner}' AS uuid) ELSE gen_random_uuid() END,"
        " 'PAID', 'CAPTURED', 'EUR', 1250, 0,"
        " '[{\"productId\":\"bench-0001\",\"name\":\"Product\",\"quantity\":1,\"unitPrice\":1250}]',"
        f" 'pm_card_visa', 1, 1000002, '', '', 3, 1700000000000 + i, 1700000000000 + i, 1250"
        f" FROM generate_series(1, {count}) AS i", "shop_orders")
    server.sql("VACUUM ANALYZE orders", "shop_orders")


def _page_times(stage, owner):
    """Of the pages of the customer with millions of orders, at every depth that a cursor reaches."""
    times = []
    path = f"/orders?limit=100&userId={owner}"
    cursor = ""
    for _ in range(300):
        begin = time.monotonic()
        answer = stage.admin.get(path + cursor)
        times.append((time.monotonic() - begin) * 1000)
        assert answer.status_code == 200 and len(answer.json()["data"]) == 100
        cursor = f"&cursor={answer.json()['nextCursor']}"
    return {"p50": statistics.median(times), "p99": sorted(times)[int(len(times) * 0.99)]}


def start(_plan):
    """From the program's start to its first 200 on /health/ready, with data."""
    with Stage() as stage:
        server = stage.all_in_one()
        stage.fill()
        stage.load("--clients", 32, "--seconds", 3, "--settle-seconds", 30)
        seconds = []
        for _ in range(10):
            server.stop()
            begin = time.monotonic()
            server.start()
            seconds.append(time.monotonic() - begin)
        return {"startMs": statistics.median(seconds) * 1000}


def profile(plan):
    """Where the program spends its time while it carries orders."""
    with Stage() as stage:
        stage.all_in_one(stage.postgresql().make_shop("shop"))
        stage.fill()
        with stage.profiled(stage.orders.process.pid) as found:
            stage.load("--clients", CLIENTS, "--seconds", plan.seconds, "--settle-seconds", 60)
        return found


SCENARIOS = {
    "raw database": raw_database,
    "raw bus": raw_bus,
    "echo POST": echo_post,
    "echo GET": echo_get,
    "POST /orders": post_orders,
    "GET /orders/{id}": get_orders,
    "paid, SQLite": paid_sqlite,
    "paid, PostgreSQL": paid_postgresql,
    "paid, two services": paid_two_services,
    **{f"open loop, {rate}/s": open_loop(rate) for rate in (250, 500, TARGET_RATE, 2000, 3000)},
    "overload": overload,
    "many stored": many_stored,
    "start": start,
    "profile": profile,
}
