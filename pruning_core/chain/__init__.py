"""What a chain of checkpoints is made of: its specs, its networks, its trainings, and what is stored."""
