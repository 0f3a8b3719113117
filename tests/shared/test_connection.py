"""Answers leave in one piece, in order, and nothing is held for long."""

import asyncio
from typing import Any

from shared.serving import connection


class Recorder:
    """A transport that notes what it was told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def write(self, data: bytes) -> None:
        self.told.append(data)

    def close(self) -> None:
        self.told.append("closed")

    def is_closing(self) -> bool:
        return "closed" in self.told


def test_head_and_body_of_an_answer_are_sent_together_when_the_turn_ends() -> None:
    async def answer() -> list[Any]:
        recorder = Recorder()
        joined = connection.Joined(recorder, asyncio.get_running_loop())
        joined.write(b"head ")
        joined.write(b"body")
        assert recorder.told == []
        await asyncio.sleep(0)
        joined.write(b"next")
        await asyncio.sleep(0)
        return recorder.told

    assert asyncio.run(answer()) == [b"head body", b"next"]


def test_much_is_sent_at_once_and_its_end_when_the_turn_ends() -> None:
    async def answer() -> list[Any]:
        recorder = Recorder()
        joined = connection.Joined(recorder, asyncio.get_running_loop())
        joined.write(b"head")
        joined.write(bytes(connection.MOST_HELD_BYTES))
        assert len(recorder.told) == 1
        joined.write(b"end")
        await asyncio.sleep(0)
        return recorder.told

    whole = asyncio.run(answer())
    assert b"".join(whole) == b"head" + bytes(connection.MOST_HELD_BYTES) + b"end"
    assert whole[-1] == b"end"


def test_what_is_held_is_sent_before_the_connection_is_closed() -> None:
    async def answer() -> list[Any]:
        recorder = Recorder()
        joined = connection.Joined(recorder, asyncio.get_running_loop())
        joined.write(b"last")
        joined.close()
        assert joined.is_closing()
        await asyncio.sleep(0)
        return recorder.told

    assert asyncio.run(answer()) == [b"last", "closed"]
