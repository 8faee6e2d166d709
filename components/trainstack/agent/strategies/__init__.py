"""How each distribution strategy is set up on a node: Horovod, elastic Horovod, and those of TensorFlow."""
