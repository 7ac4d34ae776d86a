"""Pre-trained encoders: find them, encode texts, keep features, fine-tune, search vectors."""
