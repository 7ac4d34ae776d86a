"""What is read out of runs once they are there: metrics in other formats, comparisons of runs, reports."""
