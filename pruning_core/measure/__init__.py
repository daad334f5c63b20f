"""What is measured of a model: its accuracy, its answers to fixed images, its latency in pairs."""
