"""The rooms of the Tokens pane."""
