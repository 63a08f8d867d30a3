"""What came out: solved or not, intervals, tables, comparison with published numbers."""
