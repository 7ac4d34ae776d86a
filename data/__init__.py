"""What goes in: corpora and task data, cleaned, checked and fingerprinted."""
