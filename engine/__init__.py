"""What the machine does: models, training, generation. Tasks are generators of events; nothing here draws or prints."""
