"""Tokenizers: find them, encode with spans, merges, lookups in a vocabulary."""
