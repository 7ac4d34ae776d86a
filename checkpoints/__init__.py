"""What stays: run directories, atomic checkpoints, export to other formats, bundled weights."""
