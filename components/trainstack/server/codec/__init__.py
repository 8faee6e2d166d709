"""Tensors and signatures, and how requests carry them: as JSON, as examples, as bytes."""
