"""Two of each service on one database and Pub/Sub, and customers who go to whichever answers."""

import time

import requests

from client import Client, stock_shelves
from server import ORDER_SERVICE, PAYMENT_SERVICE, run_quittance
from services import keys_of

# What is answered when one goes away while it works.
TRY_ELSEWHERE = (502, 503, 504)


class Fleet:
    """The instances, and the databases that they share."""

    def __init__(self, make_server, bus, database, name, line=lambda instance, url: url):
        """`line` gives the address at which an instance finds the database of this one."""
        self.database, self.name = database, name
        self.urls = database.make_shop(name)
        self.environment = {**bus, **self.urls}

        def serve(instance, url, environment, command, **more):
            address = {"DATABASE_URL": line(instance, self.urls[url])}
            return make_server(instance, {**bus, **address, **environment}, command=command, **more).start()

        first = serve("orders-1", "DATABASE_URL", {}, [ORDER_SERVICE])
        self.admin = Client(first.url).login(*first.admin_credentials())
        stock_shelves(self.admin)
        key = {"JWT_SIGNING_KEY_FILE": str(first.signing_key_file())}
        second = serve("orders-2", "DATABASE_URL", key, [ORDER_SERVICE], demo=False)
        self.orders = [first, second]
        self.payments = [serve(f"payments-{number}", "PAYMENTS_DATABASE_URL", keys_of(second),
                               [PAYMENT_SERVICE], demo=False) for number in (1, 2)]

    def of_orders(self, statement):
        return self.database.sql(statement, f"{self.name}_orders")

    def of_payments(self, statement):
        return self.database.sql(statement, f"{self.name}_payments")

    def dead_letters(self):
        """Those of the databases and of Pub/Sub, a line each."""
        listed = run_quittance("dead-letters", "list", environment=self.environment)
        assert listed.returncode == 0, listed.stderr
        return listed.stdout.splitlines()

    def unpaid(self):
        return int(self.of_orders("SELECT COUNT(*) FROM orders WHERE status <> 'PAID'")[0][0])


class Anywhere:
    """One customer at whichever order service answers."""

    PATIENCE_SECONDS = 60

    def __init__(self, fleet, customer):
        self.repeated = 0
        self._password = customer.password
        self._clients = []
        for server in fleet.orders:
            client = customer.twin()
            client.url = server.url
            self._clients.append(client)

    def get(self, path):
        return self.request("GET", path)

    def post(self, path, body, **more):
        return self.request("POST", path, body, **more)

    def request(self, method, path, body=None, **more):
        """Asks until somebody answers."""
        end = time.monotonic() + self.PATIENCE_SECONDS
        while True:
            # The next request goes to the other one, and so does this one when it is not answered.
            self._clients.reverse()
            try:
                answer = self._clients[0].request(method, path, body, **more)
                if answer.status_code == 401:
                    self._log_in_again()
                elif answer.status_code not in TRY_ELSEWHERE:
                    return answer
            except requests.exceptions.RequestException:
                pass
            self.repeated += 1
            assert time.monotonic() < end, "no instance answers"
            time.sleep(0.05)

    def _log_in_again(self):
        """A token lives for a quarter of an hour."""
        asked = self._clients[0]
        answer = asked.post("/users/login", {"email": asked.email, "password": self._password}, token=None)
        if answer.status_code == 200:
            for client in self._clients:
                client.token = answer.json()["token"]
