"""What the documents say must be true."""
