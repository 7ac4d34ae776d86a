"""Widgets that several panes use, and what they draw with."""
