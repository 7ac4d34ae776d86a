"""Retrieval: search engines on one collection, compared."""
