"""What the processes of a run do that torchrun gave a rank above 0: what rank 0 tells, until it tells them to end."""

from __future__ import annotations

import signal

from engine.ranks import Order, join


def serve() -> None:
    """Work for rank 0 until it says that the run ends. For the main thread. Raises :class:`engine.ranks.RankLost`.

    From here on this process ignores signals to end, which reach rank 0 too: it ends the run in order, and then this.
    """
    from engine.encoders.other_ranks import encode_share
    from engine.gpt.other_ranks import follow_order, receive_training

    ranks = join()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    trainer = None
    try:
        while (received := ranks.receive_order())[0] is not Order.END:
            order, value = received
            if order is Order.ENCODE:
                encode_share(ranks)
            elif order is Order.TRAIN:
                trainer = receive_training(ranks)
            elif trainer is not None:
                follow_order(trainer, order, value)
    finally:
        ranks.close()
