"""schemathesis over docs/openapi.yaml: whatever the description allows or forbids is tried at the real program,
as an admin and as a customer, and the answers are what the description says. The same cases each time; with
CONTRACT_EXAMPLES=N more of them (make test-contract), chosen anew by CONTRACT_SEED=N.

What it must not report is listed, with reasons, in schemathesis/schemathesis.toml."""

import os
import pathlib
import subprocess

import pytest

from client import Client, expect, stock_shelves
from openapi import DESCRIPTION
from server import REPOSITORY

FOLDER = pathlib.Path(__file__).parent / "schemathesis"
PROGRAM = REPOSITORY / "build/python/bin/schemathesis"
EXAMPLES = int(os.environ.get("CONTRACT_EXAMPLES", 10))
# A machine that does much else at the same time takes ten times as long as an idle one.
SECONDS = 900 + EXAMPLES * 60

# For each operation the ids of something that is there.
REAL_IDS = """
[[operations]]
include-path-regex = "^/orders/[{{]id"
parameters = {{ id = "{order}" }}

[[operations]]
include-path-regex = "^/payments/[{{]id"
parameters = {{ id = "{payment}" }}

[[operations]]
include-operation-id = ["listPayments", "listLedgerEntries"]
parameters = {{ orderId = "{order}" }}
"""


@pytest.fixture(scope="module")
def try_calls(tmp_path_factory):
    """Runs schemathesis as one user; fails with its report when it has found anything."""
    if not PROGRAM.exists():
        pytest.fail("schemathesis is not there: run make setup")

    def run(server, email, password, more=""):
        folder = tmp_path_factory.mktemp("schemathesis")
        settings = folder / "schemathesis.toml"
        text = (FOLDER / "schemathesis.toml").read_text()
        seed = os.environ.get("CONTRACT_SEED")
        if seed is not None:
            text = text.replace("seed = 1\n", f"seed = {int(seed)}\n").replace("deterministic = true\n", "")
        settings.write_text(text + more)
        done = subprocess.run(
            [PROGRAM, "--config-file", settings, "run", DESCRIPTION, "--url", server.url,
             "--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES)],
            cwd=folder, text=True, capture_output=True, timeout=SECONDS, check=False,
            env={**os.environ, "CONTRACT_EMAIL": email, "CONTRACT_PASSWORD": password, "PYTHONHASHSEED": "0"})
        report = done.stdout + done.stderr
        assert done.returncode == 0, report[-20_000:]
        assert "generated" in report, f"nothing was tried:\n{report}"
        print("measured: schemathesis,", next(line.strip() for line in report.splitlines() if "generated" in line))
        assert server.is_running()
        assert '"severity":"ERROR"' not in server.log(), server.last_log()
    return run


@pytest.fixture
def server(make_server):
    return make_server(environment={"PAYMENT_CAPTURE": "manual"}).start()


@pytest.fixture
def admin(server):
    client = Client(server.url).login(*server.admin_credentials())
    stock_shelves(client)
    return client


def test_an_admin_gets_what_is_described(server, admin, try_calls):
    try_calls(server, admin.email, admin.password)


def test_a_customer_gets_what_is_described_of_what_is_there(server, admin, try_calls):
    customer = Client(server.url).register()
    order = customer.place_order()
    customer.wait_for_order(order["id"], paymentStatus="AUTHORIZED")
    payment = customer.get(f"/payments?orderId={order['id']}").json()["data"][0]
    expect(admin.post(f"/payments/{payment['id']}/capture"), 202)
    customer.wait_for_order(order["id"], status="PAID")
    try_calls(server, customer.email, customer.password,
              REAL_IDS.format(order=order["id"], payment=payment["id"]))


def test_an_admin_changes_what_is_there_as_described(server, admin, try_calls):
    order = admin.place_order()
    admin.wait_for_order(order["id"], paymentStatus="AUTHORIZED")
    payment = admin.get(f"/payments?orderId={order['id']}").json()["data"][0]
    try_calls(server, admin.email, admin.password, REAL_IDS.format(order=order["id"], payment=payment["id"]))
