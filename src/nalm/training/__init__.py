"""Training: losses, optimizers, compiling, the vectorized ensemble and the network that trains by itself."""
