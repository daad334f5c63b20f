"""Training and fine-tuning: epochs, steps, optimizers."""
