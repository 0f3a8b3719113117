"""A server's part in the tests of the Redis store: adds every so many of the transactions, from one on.

``python redis_writer.py SOCKET FIRST STEP COUNT``: waits for a word on the list ``go``, and says each one it has added.
"""

import sys

from apps.fraud_detection import stores
from apps.fraud_detection.transactions import UNKNOWN

BEGIN = 1_600_000_000_000_000


def event(number: int) -> stores.Event:
    """Return a transaction; four of them have one instant."""
    return stores.Event(BEGIN + number // 4 * 60_000_000, number * 7_919 % 100_000, UNKNOWN, str(number))


def parties(number: int) -> dict[str, str]:
    """Return whose transaction it is."""
    return {"customer": str(number % 5), "terminal": str(number % 3)}


def main(socket: str, first: int, step: int, count: int) -> None:
    """Add transactions, and a verdict on every other one."""
    import redis

    client = redis.Redis(unix_socket_path=socket)
    store = stores.RedisStore(client)
    client.blpop(["go"])
    for number in range(first, count, step):
        store.add(parties(number), event(number))
        if number % 2:
            store.record_label(str(number), number // 2 % 2)
        print(number, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
