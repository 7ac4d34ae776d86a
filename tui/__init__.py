"""What the user sees: the full-screen program and the command line."""
