"""The command line: one module for a group of commands. None of them imports Textual."""
