"""What classify, choose and retrieve share: contenders, their features, heads, statistics, label checks."""
