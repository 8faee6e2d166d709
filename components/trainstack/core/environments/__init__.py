"""What a script runs in: specifications, locks and the folders built from them."""
