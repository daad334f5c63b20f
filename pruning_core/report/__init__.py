"""Benchmark JSON files → tables that people read: terminal, Markdown, CSV, JSON, a page.

read the files  →  `build.py`: plain tables of exact numbers  →  `writers.py`: words and rounding
"""
