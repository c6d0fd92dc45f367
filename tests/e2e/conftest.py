"""Running servers, and people who use them."""

import contextlib
import os

import pytest

from client import Client, stock_shelves
from databases import DatabaseServer
from emulator import Emulator
from server import LOAD_DRIVER, QUITTANCE, LoadDriver, Server, free_port
from services import PUSH, switch_push_on
from stripe import StripeServer

_running = []


def pytest_sessionstart(session):
    for program in (QUITTANCE, LOAD_DRIVER):
        if not program.exists():
            pytest.exit(f"{program} is not there: run make build, or set QUITTANCE_BIN", returncode=2)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failing test shows what the servers logged last."""
    report = (yield).get_result()
    if report.failed:
        for server in _running:
            report.sections.append((f"log of {server.url}", server.last_log()))


def _serve(folder, environment=None, **more):
    server = Server(folder, environment, **more)
    _running.append(server)
    return server


def _end(server):
    _running.remove(server)
    if server.is_running():
        server.stop()


@pytest.fixture
def make_server(tmp_path):
    """Makes servers that are not started yet, and ends those that still run after the test."""
    with contextlib.ExitStack() as ends:
        def make(name="shop", environment=None, **more):
            server = _serve(tmp_path / name, environment, **more)
            ends.callback(_end, server)
            return server
        yield make


@pytest.fixture(autouse=True)
def end_load():
    yield
    LoadDriver.end_all()


def pytest_generate_tests(metafunc):
    """A file that names ENGINES is run on each; the others on the embedded default."""
    if "shop" in metafunc.fixturenames:
        engines = getattr(metafunc.module, "ENGINES", ["sqlite"])
        metafunc.parametrize("shop", engines, indirect=True, scope="module")


@pytest.fixture(scope="session")
def database_server():
    """Finds the running server of an engine, or starts it."""
    servers = {}

    def find(engine):
        if engine not in servers:
            servers[engine] = DatabaseServer(engine, free_port())
        return servers[engine]
    yield find
    for server in servers.values():
        server.end()


@pytest.fixture(scope="session")
def emulator():
    """Pub/Sub with our topics and subscriptions."""
    running = Emulator()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def stripe():
    """A server that stands in for Stripe; a file that uses it says so by GATEWAY = "stripe"."""
    server = StripeServer()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def shop(request, tmp_path_factory, database_server):
    """One running server for all tests of a file; with E2E_BUS=pubsub its events go over the emulator, which
    with E2E_DELIVERY=push posts them."""
    environment = {}
    if request.param != "sqlite":
        environment |= database_server(request.param).make_shop(request.module.__name__)
    if os.environ.get("E2E_BUS") == "pubsub":
        environment |= request.getfixturevalue("emulator").environment
    gateway = getattr(request.module, "GATEWAY", "simulator")
    if gateway == "stripe":
        environment |= request.getfixturevalue("stripe").environment
    pushed = os.environ.get("E2E_DELIVERY") == "push"
    server = _serve(tmp_path_factory.mktemp("shop"), {**environment, **(PUSH if pushed else {})})
    if pushed:
        switch_push_on(environment, server, server)
    try:
        server.start()
        yield server
    finally:
        _end(server)


@pytest.fixture(scope="module")
def observers():
    """Functions that see every answer to the clients of this file."""
    return []


@pytest.fixture(scope="module")
def admin(shop, observers):
    """The admin of the shop, after the shelves are stocked."""
    client = Client(shop.url, observers).login(*shop.admin_credentials())
    stock_shelves(client)
    return client


@pytest.fixture(scope="module")
def customer(shop, admin, observers):
    return Client(shop.url, observers).register("Ada Byron")


@pytest.fixture(scope="module")
def stranger(shop, admin, observers):
    """Another customer."""
    return Client(shop.url, observers).register("Grace Hopper")


@pytest.fixture(scope="module")
def visitor(shop, observers):
    """Somebody without a token."""
    return Client(shop.url, observers)
