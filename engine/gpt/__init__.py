"""The GPT trained from scratch: model, spec, trainer, samples, checkpoints."""
