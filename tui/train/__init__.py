"""The Train pane: its form."""
