"""The Runs pane."""
