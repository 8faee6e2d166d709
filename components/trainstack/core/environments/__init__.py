"""Training environments: specifications, locks and the folders built from them."""
