"""What one reads in a terminal: values made harmless, streams that do not raise, words after long silence."""
