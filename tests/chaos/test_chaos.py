"""Two of each service, PostgreSQL, Pub/Sub's emulator and a provider, while processes are killed, stand still
and lose their lines: no order that was answered is lost, none is charged twice, and all end truthfully.

KILLS (20), ORDERS (1500) and SEED can be set in the environment. The seed fixes what is bought and which fault
follows which; the operating system decides what is under way when one strikes."""

import collections
import os
import random
import time

import pytest

from buyers import Crowd
from checks import Aftermath
from client import Client
from databases import DatabaseServer
from emulator import Emulator
from faults import Chaos, Lines
from fleet import Fleet
from goodbye_proxy import GoodbyeProxy
from server import Server, free_port
from services import make_unordered
from stripe import StripeServer

KILLS = int(os.environ.get("KILLS", "20"))
ORDERS = int(os.environ.get("ORDERS", "1500"))
SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(10**6))

# What the provider does wrong meanwhile, as fractions of the requests that move money. Not the error that it
# remembers without having done anything: it takes a minute to be sure of that one, and it has a test of its own.
PROVIDER_FAULTS = {"lost_response": 0.03, "lost_request": 0.01, "rate_limited": 0.02, "unavailable": 0.01,
                   "error_after": 0.01, "delayMs": [0, 30]}
FINISH_SECONDS = 120


@pytest.fixture
def emulator():
    running = Emulator()
    yield running
    running.stop()


@pytest.fixture
def provider():
    running = StripeServer()
    yield running
    running.stop()


@pytest.fixture
def database():
    running = DatabaseServer("postgresql", free_port())
    yield running
    running.end()


@pytest.fixture
def make_server(tmp_path):
    """What still runs after the test is killed: it has been tested otherwise that they end in good order."""
    servers = []

    def make(name, environment, **more):
        servers.append(Server(tmp_path / name, environment, **more))
        return servers[-1]
    yield make
    for server in servers:
        if server.is_running():
            server.kill()


@pytest.fixture
def lines():
    made = Lines()
    yield made
    made.close()


@pytest.fixture
def fleet(emulator, provider, database, make_server, lines):
    bus = emulator.new_project("chaos")
    # The order of events is tested elsewhere: with it, the emulator becomes slower with every order.
    make_unordered(bus)
    goodbyes = GoodbyeProxy(emulator.port)
    bus["PUBSUB_EMULATOR_HOST"] = f"127.0.0.1:{goodbyes.port}"
    yield Fleet(make_server, {**bus, **provider.environment}, database, "chaos", lines)
    goodbyes.close()


def listed(counts):
    return ", ".join(f"{what} {count}" for what, count in sorted(counts.items()))


def test_orders_survive_chaos(fleet, provider, lines):
    print(f"\nchaos: seed {SEED}, {KILLS} kills over {ORDERS} orders")
    provider.faults(seed=SEED, **PROVIDER_FAULTS)
    provider.send_webhooks_to(fleet.payments[0], seed=SEED, duplicates=0.2, delayMs=[0, 2000])
    customer = Client(fleet.orders[0].url).register("Ada Byron")
    begin = time.monotonic()
    crowd = Crowd(fleet, customer, ORDERS, SEED).start()
    chaos = Chaos(fleet, lines, crowd, KILLS, ORDERS, SEED)
    chaos.run()
    crowd.finish(FINISH_SECONDS)
    provider.faults()
    ended = time.monotonic()
    print(f"faults: {listed(chaos.counts)}; {chaos.restarts} restarts")
    print(f"{crowd.placed} orders answered with 201 in {ended - begin:.0f} s, {crowd.repeated} requests repeated; "
          f"afterwards: {listed(crowd.plans)}")

    aftermath = Aftermath(fleet, provider)
    aftermath.wait()
    print(f"settled {time.monotonic() - ended:.0f} s after the last fault")
    aftermath.check_orders(crowd.purchases)
    aftermath.check_answers(crowd.purchases, customer, random.Random(SEED))
    aftermath.check_histories()
    aftermath.check_money()
    aftermath.check_ledger_and_provider()
    states = collections.Counter(f"{order.status}/{order.payment_status}"
                                 for order in aftermath.orders.values())
    requests = provider.books()["requests"]
    print(f"orders: {listed(states)}")
    print(f"provider: {requests['requests']} requests, {requests['replayed']} repeated under their key, faults: "
          f"{listed(requests['faults'])}")
    print(f"no violation (seed {SEED})")
