"""Runs: events, messages, the worker thread, the process that owns a run, the list of runs."""
