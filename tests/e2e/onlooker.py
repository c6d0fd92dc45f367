"""Somebody who sees every event: a program on Google's own client with subscriptions of its own."""

import collections
import json

from node_programs import start_node
from waiting import wait_until


class Onlooker:
    def __init__(self, environment, folder):
        self._file = folder / "events.jsonl"
        with open(self._file, "wb") as output:
            self.process = start_node("watch_topics.js", environment, stdout=output)
        wait_until(lambda: '"ready"' in self._file.read_text(), 30, "the onlooker's subscriptions")

    def messages(self, topic=None):
        """What was seen so far, in order; without what the service delivered again."""
        lines = self._file.read_text().splitlines()[1:]
        seen = {}
        for line in lines:
            message = json.loads(line)
            if topic in (None, message["topic"]):
                seen.setdefault(message["messageId"], message)
        return list(seen.values())

    def events_of_orders(self, topic):
        """Of each order, its events in the order in which they were seen first."""
        events = collections.defaultdict(dict)
        for message in self.messages(topic):
            events[message["key"]].setdefault(message["id"], message)
        return {order: list(of_order.values()) for order, of_order in events.items()}

    def duplicates(self):
        """How many events were published once more than needed."""
        messages = self.messages()
        return len(messages) - len({message["id"] for message in messages})

    def end(self):
        self.process.kill()
        self.process.communicate()
