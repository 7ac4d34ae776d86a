"""Any causal language model: find and load it, decode, compare settings."""
