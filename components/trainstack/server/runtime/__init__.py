"""How a signature is computed: by TensorFlow or LiteRT, in batches; and the conversion from one to the other."""
