"""What Classify, Choose and Retrieve share: several ways to do one thing, run in a process, judged side by side."""
