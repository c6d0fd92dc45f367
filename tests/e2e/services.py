"""The order service and the payment service as two programs, and what tests need around them."""

from node_programs import finish_node, start_node
from server import ORDER_SERVICE, PAYMENT_SERVICE, run_quittance

PUSH = {"PUBSUB_DELIVERY": "push", "PUBSUB_PUSH_AUTH": "iam"}


def keys_of(orders):
    """Where the payment service finds the order service's public keys."""
    return {"JWKS_URL": f"{orders.url}/.well-known/jwks.json"}


def make_services(make_server, bus, databases=None, delivery="pull"):
    """Both, not started yet. `bus` is the environment of a project of the emulator's; `databases` that of
    DatabaseServer.make_shop (none: SQLite)."""
    shared = {**bus, **(PUSH if delivery == "push" else {})}
    of_orders, of_payments = {}, {}
    if databases is not None:
        of_orders = {"DATABASE_URL": databases["DATABASE_URL"]}
        of_payments = {"DATABASE_URL": databases["PAYMENTS_DATABASE_URL"]}
    orders = make_server("orders", {**shared, **of_orders}, command=[ORDER_SERVICE])
    payments = make_server("payments", {**shared, **of_payments, **keys_of(orders)},
                           command=[PAYMENT_SERVICE], demo=False)
    if delivery == "push":
        switch_push_on(bus, orders, payments)
    return orders, payments


def switch_push_on(bus, orders, payments):
    switched = run_quittance("pubsub", "push", "on", "--order-service", orders.url, "--payment-service",
                             payments.url, environment=bus)
    assert switched.returncode == 0, switched.stderr


def make_unordered(bus):
    """Makes the subscriptions of both services anew, without the order of keys. For tests in which streams
    end without a good-bye: ordered, the emulator keeps for minutes what was on lease over such a stream, even
    when the lease is over. Google's service does not, and our services do not depend on the order."""
    finish_node(start_node("make_unordered_subscriptions.js", bus))
