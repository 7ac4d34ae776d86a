"""What classify, choose and retrieve share: heads, statistics, label checks."""
