"""What is measured about a checkpoint: cost, accuracy, latency, and the machine it was measured on."""
