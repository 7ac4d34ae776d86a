"""The Lab pane: the exercises of the lab, their steps and claims, and what the student writes about them."""
