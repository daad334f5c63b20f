"""A file → the pixels that it shows, and processes that do it. Without torch: such a process stays small."""
