"""Analysis of results: success, intervals, summaries, and comparison with published numbers."""
