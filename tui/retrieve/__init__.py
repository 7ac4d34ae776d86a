"""What the Retrieve pane is made of."""
