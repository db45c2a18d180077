"""ohmweave weaves a trained neural network into a hybrid CMOS-memristor circuit."""
