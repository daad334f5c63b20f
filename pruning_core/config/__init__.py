"""What a person asks for: grids, recipes, thresholds, and the specs that decide a checkpoint's key."""
