"""The check of a machine with a GPU: what is computed there is right, and how fast it is. See docs/gpu.md."""
