"""What goes wrong, chosen by a seed: processes die or stand still, lines to the database break or drag, and the
database itself restarts or crashes."""

import collections
import random
import signal
import time

from tcp_proxy import TcpProxy
from waiting import wait_until

# One in so many kills hits the database.
KILLS_PER_DATABASE_FAULT = 10
# After a kill, one of these may follow.
CHANCES = {"stopped": 0.25, "cut": 0.2, "cut before the answer": 0.2, "slowed down": 0.1}
CHANCE_OF_A_PAIR = 0.1
CHANCE_OF_A_KILL_WHILE_STARTING = 0.15
# A relay that is silent for five seconds counts as dead, and another takes over what it had.
CHANCE_OF_A_LONG_ABSENCE = 0.05
LONG_ABSENCE_SECONDS = (6, 9)

# The code with which a service says that it cannot start: its database is away, for instance.
CANNOT_START = 2


class Lines:
    """From each instance to the database, a line of its own that can break."""

    def __init__(self):
        self.by_instance = {}

    def __call__(self, instance, url):
        """The address that the instance gets in place of this one."""
        before_port, _, rest = url.rpartition(":")
        port, _, path = rest.partition("/")
        line = TcpProxy(int(port))
        self.by_instance[instance] = line
        return f"{before_port}:{line.port}/{path}"

    def close(self):
        for line in self.by_instance.values():
            line.close()


class Chaos:
    """Goes on from fault to fault as the orders come in. On the main thread: PostgreSQL ends with the thread
    that started it."""

    def __init__(self, fleet, lines, crowd, kills, orders, seed):
        self._fleet, self._lines, self._crowd = fleet, lines, crowd
        self._kills, self._orders_per_kill = kills, orders / kills
        self._chance = random.Random(f"{seed}/faults")
        self._services = {"order-service": fleet.orders, "payment-service": fleet.payments}
        self._servers = [*fleet.orders, *fleet.payments]
        self.counts = collections.Counter()

    @property
    def killed(self):
        return sum(count for what, count in self.counts.items() if what.startswith("killed"))

    @property
    def restarts(self):
        return self.killed + self.counts["started in vain"]

    def run(self):
        """Until so many were killed, evenly over the orders."""
        while self.killed < self._kills:
            self._wait_for_orders((self.killed + self._chance.random()) * self._orders_per_kill)
            database_faults = (self.killed + KILLS_PER_DATABASE_FAULT // 2) // KILLS_PER_DATABASE_FAULT
            if database_faults > self.counts["database restarted"] + self.counts["database crashed"]:
                self._shake_the_database(database_faults)
            self._kill()
            self._perhaps_more()
        self._end()

    def _wait_for_orders(self, count):
        while self._crowd.placed < count and self._crowd.still_buying():
            assert not self._crowd.failures, self._crowd.failures[0]
            self._revive()
            time.sleep(0.02)

    def _revive(self):
        """As whatever watches over services would, restarts what could not start. Nothing else may end by
        itself."""
        for server in self._servers:
            if server.is_running():
                continue
            assert server.process.returncode == CANNOT_START, (
                f"{server.data.parent.name} ended by itself with {server.process.returncode}:\n"
                f"{server.last_log()}")
            self.counts["started in vain"] += 1
            server.spawn()

    def _kill(self):
        name = self._chance.choice(sorted(self._services))
        pair = self._services[name]
        victims = pair if self._chance.random() < CHANCE_OF_A_PAIR else [self._chance.choice(pair)]
        self._revive()
        for victim in victims:
            self._kill_one(victim, name)
        time.sleep(self._pause(0, 0.5))
        for victim in victims:
            victim.spawn()
        if self._chance.random() < CHANCE_OF_A_KILL_WHILE_STARTING:
            time.sleep(self._chance.uniform(0, 0.08))
            self._kill_one(victims[0], name)
            victims[0].spawn()

    def _kill_one(self, victim, name):
        victim.kill()
        self.counts[f"killed {name}"] += 1

    def _pause(self, least, most):
        if self._chance.random() < CHANCE_OF_A_LONG_ABSENCE:
            self.counts["of these for longer than a lease"] += 1
            least, most = LONG_ABSENCE_SECONDS
        return self._chance.uniform(least, most)

    def _perhaps_more(self):
        dice = self._chance.random()
        for what, share in CHANCES.items():
            dice -= share
            if dice < 0:
                self.counts[what] += 1
                return self._stand_still() if what == "stopped" else self._disturb_a_line(what)
        return None

    def _stand_still(self):
        victim = self._chance.choice(self._servers)
        if not victim.is_running():
            return
        victim.process.send_signal(signal.SIGSTOP)
        time.sleep(self._pause(0.2, 3))
        victim.process.send_signal(signal.SIGCONT)

    def _disturb_a_line(self, what):
        line = self._lines.by_instance[self._chance.choice(sorted(self._lines.by_instance))]
        if what == "slowed down":
            line.slow_down(self._chance.uniform(0.005, 0.1))
            time.sleep(self._chance.uniform(0.5, 2))
        elif what == "cut before the answer":
            line.hold_answers()
            time.sleep(self._chance.uniform(0.01, 0.2))
            line.cut()
        else:
            line.cut()
            time.sleep(self._chance.uniform(0, 1))
        line.restore()

    def _shake_the_database(self, number):
        """In turn: an administrator's restart, and a crash."""
        database = self._fleet.database
        if number % 2 == 1:
            self.counts["database restarted"] += 1
            database.stop()
        else:
            self.counts["database crashed"] += 1
            database.crash()
        time.sleep(self._chance.uniform(0, 2))
        database.start()

    def _end(self):
        for line in self._lines.by_instance.values():
            line.restore()
        for server in self._servers:
            def started(server=server):
                self._revive()
                return server.is_ready()
            wait_until(started, 60, f"{server.data.parent.name} to be ready after the last fault")
