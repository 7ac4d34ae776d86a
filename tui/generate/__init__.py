"""The rooms of the Generate pane."""
