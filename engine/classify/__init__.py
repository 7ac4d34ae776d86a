"""Text classification: methods compared on a labelled data set."""
