"""A gentle stop: at SIGTERM a service first says that it is not ready, then goes on for a while, then stops."""

import asyncio
import signal
import threading
from types import FrameType

from service.web.state import State


def drain_at_sigterm(shared: State) -> None:
    """Let SIGTERM be told by `/readyz` at once, and reach the server after `drain_seconds`; a second one at once.

    The server has put its own handler there before the application begins. Does nothing outside of the main
    thread, where signals do not come.
    """
    server = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or not callable(server):
        return
    loop = asyncio.get_running_loop()
    stop = server

    def told(number: int, frame: FrameType | None) -> None:
        seconds = 0 if shared.draining else shared.settings.drain_seconds
        shared.draining = True
        if seconds:
            loop.call_soon_threadsafe(loop.call_later, seconds, stop, number, None)
        else:
            stop(number, frame)

    signal.signal(signal.SIGTERM, told)
