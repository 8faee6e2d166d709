"""How a signature is computed: TensorFlow, LiteRT, in batches; and the conversion from one to the other."""
