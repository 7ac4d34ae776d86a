"""Runs of all four tasks killed, faulted and damaged at random, and compared with undisturbed ones to the bit.

``make storm MINUTES=30 SEED=1``. :mod:`storm.cycle` is one run from its first start to its end, :mod:`storm.server`
starts its processes, :mod:`storm.faults` makes system calls fail, :mod:`storm.damage` damages files between two starts,
:mod:`storm.workloads` says what is run and what has to come of it.
"""
