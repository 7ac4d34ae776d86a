"""Everything of the Classify pane but its keys: what is asked for, what happened, and how it is drawn."""
